package bench

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

var errAllEnded = errors.New("all jobs have ended") // ends following events

// figures are what a run has shown.
type figures struct {
	JobsPerSecond            float64             `json:"jobsPerSecond"`
	Seconds                  float64             `json:"seconds"`
	AddedLatency             *latency            `json:"addedLatencyMs,omitempty"` // with a rate
	WorkerCPU                float64             `json:"workerCpuMicrosecondsPerJob"`
	IdleResidentBytes        int64               `json:"idleResidentBytes,omitempty"` // 0: not known
	PeakResidentBytes        int64               `json:"peakResidentBytes,omitempty"`
	BytesPerOpenConfirmation int64               `json:"bytesPerOpenConfirmation,omitempty"` // where people take their time
	Outcomes                 map[job.Outcome]int `json:"outcomes"`
	Shared                   int                 `json:"shared"` // jobs that another's prompt answered
	Prompts                  int                 `json:"prompts"`
	MostOpen                 int                 `json:"mostOpen"`
	MostOpenForOneAccount    int                 `json:"mostOpenForOneAccount"`
	Namespace                string              `json:"namespace"`
	Settings                 map[string]any      `json:"settings"`
	Version                  string              `json:"version"`
	CPUs                     int                 `json:"cpus"` // of this machine, for the worker and the bench

	load                     *Load
	ends                     []ending // by the jobs' numbers
	ended, repeated, foreign int      // events, those of jobs that had one, and of jobs that are not the run's
}

// ending is when a job began and ended, by NATS's clock. The zero value has not ended.
type ending struct{ published, stored time.Time }

func newFigures(l *Load) *figures {
	return &figures{
		Outcomes: map[job.Outcome]int{}, CPUs: runtime.NumCPU(), load: l, ends: make([]ending, l.Jobs),
		Settings: map[string]any{"jobs": l.Jobs, "accounts": l.Accounts, "concurrency": l.Concurrency,
			"confirmAfterSeconds": l.ConfirmAfter.Seconds(), "rate": l.Rate, "replicas": l.Replicas},
	}
}

// see notes an event, and returns [errAllEnded] once each job has one.
func (f *figures) see(e *job.Event, stored time.Time) error {
	n, err := strconv.Atoi(e.JobID)
	switch {
	case err != nil || n < 0 || n >= len(f.ends) || f.load.job(n).WcID != e.WcID:
		f.foreign++
		return nil
	case !f.ends[n].stored.IsZero():
		f.repeated++
		return nil
	}
	f.ends[n] = ending{e.RequestedAt, stored}
	f.Outcomes[e.Outcome]++
	if e.SharedWith != "" {
		f.Shared++
	}
	if f.ended++; f.ended == len(f.ends) {
		return errAllEnded
	}
	return nil
}

// finish adds what is known once all jobs have ended.
func (f *figures) finish(prompts []gatewaytest.Prompt, stats gatewaytest.Stats, cpu time.Duration) {
	f.Prompts, f.MostOpen, f.MostOpenForOneAccount = stats.Prompts, stats.MaxOpen, stats.MaxOpenPerAccount
	open := map[string]time.Duration{} // for how long each prompt was, by the id of its job; others share it
	for _, p := range prompts {
		if !p.End.IsZero() {
			open[p.AID] = p.End.Sub(p.Start)
		}
	}
	var added []time.Duration
	first, last := f.ends[0].stored, f.ends[0].stored
	for n, e := range f.ends {
		wait, asked := open[strconv.Itoa(n)]
		if asked {
			added = append(added, e.stored.Sub(e.published)-wait)
		}
		if f.load.Rate == 0 { // a backlog's jobs begin with their prompt
			e.published = e.stored.Add(-wait)
		}
		first = slices.MinFunc([]time.Time{first, e.published}, time.Time.Compare)
		last = slices.MaxFunc([]time.Time{last, e.stored}, time.Time.Compare)
	}
	took, jobs := max(last.Sub(first), time.Millisecond), float64(f.load.Jobs)
	f.Seconds, f.JobsPerSecond = took.Round(time.Millisecond).Seconds(), math.Round(10*jobs/took.Seconds())/10
	f.WorkerCPU = math.Round(10*float64(cpu.Microseconds())/jobs) / 10
	if f.load.Rate > 0 {
		f.AddedLatency = newLatency(added)
	}
	const fewOpen = 1000 // prompts, too few to tell what one of them takes
	if f.load.ConfirmAfter > 0 && f.MostOpen >= fewOpen && f.IdleResidentBytes > 0 && f.PeakResidentBytes > f.IdleResidentBytes {
		f.BytesPerOpenConfirmation = (f.PeakResidentBytes - f.IdleResidentBytes) / int64(f.MostOpen)
	}
}

// latency is a distribution, in milliseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Jobs int     `json:"jobs"` // that it is of
}

// newLatency sorts what it is given, and returns nil for nothing.
func newLatency(all []time.Duration) *latency {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(percent int) float64 {
		rank := (len(all)*percent + 99) / 100 // the least of which so many are no greater
		return float64(all[rank-1].Microseconds()) / 1000
	}
	return &latency{P50: at(50), P90: at(90), P99: at(99), Max: at(100), Jobs: len(all)}
}

// table returns what a person reads at a glance.
func (f *figures) table() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-20s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("jobs a second", "%.0f (%d in %.2f s)", f.JobsPerSecond, f.load.Jobs, f.Seconds)
	if l := f.AddedLatency; l != nil {
		line("added latency", "p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms (%d jobs)", l.P50, l.P90, l.P99, l.Max, l.Jobs)
	}
	line("worker's CPU", "%.0f µs a job", f.WorkerCPU)
	line("worker's memory", "%s at its peak, %s idle", mebibytes(f.PeakResidentBytes), mebibytes(f.IdleResidentBytes))
	if n := f.BytesPerOpenConfirmation; n > 0 {
		line("", "%.1f KiB for an open confirmation", float64(n)/1024)
	}
	line("outcomes", "%s; %d shared another's prompt", output.Counts(f.Outcomes), f.Shared)
	line("prompts", "%d; at most %d open at once, %d of one account", f.Prompts, f.MostOpen, f.MostOpenForOneAccount)
	line("measured by", "%s", f.load.command())
	line("", "relogin %s, %d processors", f.Version, f.CPUs)
	return b.String()
}

func mebibytes(n int64) string {
	if n == 0 {
		return "not known here"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// defects returns what must not happen, however slow servers are.
func (f *figures) defects() error {
	var all []error
	note := func(n, allowed int, what string) {
		if n > allowed {
			all = append(all, fmt.Errorf(what, n))
		}
	}
	note(f.load.Jobs-f.Outcomes[job.Succeeded], 0, "%d jobs did not succeed")
	note(f.repeated, 0, "%d events were of jobs that had one already")
	note(f.foreign, 0, "%d events were of jobs that are not the run's: somebody else publishes in its namespace")
	note(f.MostOpenForOneAccount, 1, "%d prompts of one account were open at once: this is a defect in relogin")
	return errors.Join(all...)
}
