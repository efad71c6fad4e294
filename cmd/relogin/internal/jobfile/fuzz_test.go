package jobfile

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// quoted writes one line of CSV with every cell in quotes.
func quoted(separator string, cells ...string) string {
	for i, cell := range cells {
		cells[i] = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	return strings.Join(cells, separator) + "\n"
}

// writeJobs writes a job file that says all of the jobs.
func writeJobs(jobs []*job.Job) string {
	names := map[string]bool{}
	for _, j := range jobs {
		for name := range j.Labels {
			names[name] = true
		}
	}
	labels := slices.Sorted(maps.Keys(names))
	header := []string{"wcId", "id", "ttuid", "aid", "tenant", "type", "deadline"}
	for _, name := range labels {
		header = append(header, "label."+name)
	}
	text := quoted(",", header...)
	for _, j := range jobs {
		line := []string{j.WcID, j.ID, j.TTUID, j.AID, j.Tenant, strconv.Itoa(j.Type), ""}
		if !j.Deadline.IsZero() {
			line[6] = j.Deadline.Format(time.RFC3339Nano)
		}
		for _, name := range labels {
			line = append(line, j.Labels[name])
		}
		text += quoted(",", line...)
	}
	return text
}

// sameJobs compares all but the zones of times.
func sameJobs(a, b []*job.Job) bool {
	return slices.EqualFunc(a, b, func(x, y *job.Job) bool {
		one, two := *x, *y
		same := one.Deadline.Equal(two.Deadline) && maps.Equal(one.Labels, two.Labels)
		one.Deadline, two.Deadline, one.Labels, two.Labels = time.Time{}, time.Time{}, nil, nil
		return same && reflect.DeepEqual(one, two)
	})
}

func blankJob() *job.Job { return &job.Job{} }

// FuzzJobFile: a file that was read, written anew, says the same jobs, and each is one
// that a worker takes.
func FuzzJobFile(f *testing.F) {
	f.Add("a\n# b\n\"c,d\"\n")
	f.Add("\ufeffid;wcId;deadline;type;label.k\r\n1; a ;2026-01-31T12:00:00.5+08:00;3;v\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		jobs, err := Read(strings.NewReader(text), blankJob)
		if err != nil {
			return
		}
		for _, j := range jobs {
			if data, err := j.Encode(job.EncodingMsgpack); err != nil {
				t.Error(err)
			} else if _, err := job.DecodeJob(data, ""); err != nil {
				t.Errorf("no worker takes %+v: %v", j, err)
			}
		}
		anew := writeJobs(jobs)
		again, err := Read(strings.NewReader(anew), blankJob)
		if err != nil || !sameJobs(jobs, again) {
			t.Errorf("written anew it says other jobs: %v\n%s", err, anew)
		}
	})
}

// FuzzJobCells: what stands in a cell is in the job, whatever it is, in the file's own
// kind of separator.
func FuzzJobCells(f *testing.F) {
	f.Add("wxid_a", "1", "acme", "v", uint8(0))
	f.Add(`"a";b`, "#1", "x\ty", "\u00a0z", uint8(1))
	f.Fuzz(func(t *testing.T, wcID, id, tenant, label string, separator uint8) {
		want := &job.Job{WcID: strings.TrimSpace(wcID), ID: strings.TrimSpace(id), Tenant: strings.TrimSpace(tenant)}
		if label = strings.TrimSpace(label); label != "" {
			want.Labels = map[string]string{"K": label}
		}
		if strings.Contains(wcID+id+tenant+label, "\r") {
			return // a reader of CSV joins CR LF
		}
		between := string(",;\t"[separator%3])
		text := quoted(between, "wcId", "ID", "Tenant", "labels.K") + quoted(between, wcID, id, tenant, label)
		blank := want.WcID+want.ID+want.Tenant+label == ""
		jobs, err := Read(strings.NewReader(text), blankJob)
		legal := blank || want.Check() == nil
		switch {
		case (err == nil) != legal:
			t.Fatalf("%q: %v", text, err)
		case legal && !blank && !sameJobs(jobs, []*job.Job{want}):
			t.Errorf("%q: got %+v, want %+v", text, jobs, want)
		case blank && len(jobs) > 0:
			t.Errorf("%q: got %+v", text, jobs)
		}
	})
}
