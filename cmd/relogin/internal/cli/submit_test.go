package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// startQueue returns the environment of a server that has streams. Its jobs are
// answered: succeeded, but where the wcId is another outcome.
func startQueue(t *testing.T) (environ []string) {
	t.Helper()
	url := servers.NATS(t)
	environ = []string{"RELOGIN_NATS_URL=" + url, "RELOGIN_LOG_FORMAT=text"}
	if got := relogin(t, environ, "", "setup"); got.status != exitDone {
		t.Fatal(got.stderr)
	}
	nc, err := queue.Connect(t.Context(), queue.Options{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(t.Context(), nc, queue.Config{Namespace: "relogin", EventEncoding: job.EncodingMsgpack})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, lane := range []job.Lane{job.Urgent, job.Normal} {
		running.Go(func() { answer(ctx, q, lane) })
	}
	t.Cleanup(func() { stop(); running.Wait(); q.Close(); nc.Close() })
	return environ
}

func answer(ctx context.Context, q *queue.Queue, lane job.Lane) {
	var running sync.WaitGroup
	defer running.Wait()
	for ctx.Err() == nil {
		taken, _, err := q.Take(ctx, lane, 100, time.Second)
		if err != nil {
			continue
		}
		for _, d := range taken {
			running.Go(func() { end(ctx, q, d) })
		}
	}
}

func end(ctx context.Context, q *queue.Queue, d *job.Delivery) {
	j, err := job.DecodeJob(d.Data, d.ContentType)
	if err != nil {
		panic(err)
	}
	e := &job.Event{ID: j.EventID(), JobID: j.ID, WcID: j.WcID, Tenant: j.Tenant, Labels: j.Labels, Worker: string(d.Lane)}
	e.Result = job.Result{Outcome: job.Succeeded, Login: &job.Login{WcID: j.WcID, Token: "SECRET"}, FinishedAt: time.Now()}
	if o := job.Outcome(j.WcID); slices.Contains(job.Outcomes(), o) {
		e.Result = job.Result{Outcome: o, Message: "no", FinishedAt: time.Now()}
		if o == job.Invalid {
			e.ID = j.InvalidEventID(d.Data)
		}
	}
	if q.Publish(ctx, e) == nil {
		d.Ack()
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

func TestSubmit(t *testing.T) {
	environ := startQueue(t)
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "many-%d\n", i)
	}
	tests := map[string]struct {
		stdin  string
		args   []string
		status int
		want   string // in standard output
		lines  int    // of standard output
	}{
		"few":               {"", []string{"a", "b"}, exitDone, "published  a", 2},
		"json":              {"", []string{"a", "--id", "1", "-o", "json"}, exitDone, `{"id":"1","wcId":"a","lane":"normal","sequence":`, 1},
		"wait":              {"", []string{"a", "b", "--wait"}, exitDone, "succeeded", 2},
		"wait json":         {"", []string{"a", "--wait", "-o", "json", "--urgent", "--label", "k=v"}, exitDone, `"labels":{"k":"v"}`, 1},
		"urgent":            {"", []string{"a", "--wait", "-o", "json", "--urgent"}, exitDone, `"worker":"urgent"`, 1},
		"declined":          {"", []string{"a", "failed", "--wait"}, exitFailed, "failed", 2},
		"invalid":           {"", []string{"a", "invalid", "--wait"}, exitFailed, "invalid", 2},
		"file":              {"wcId,id\na,7\nthrottled,8\n", []string{"--file", "-", "--wait"}, exitFailed, "throttled", 2},
		"many":              {many.String(), []string{"--file", "-"}, exitDone, "10000 of 10000 jobs published", 1},
		"many wait":         {many.String() + "failed\n", []string{"--file", "-", "--wait"}, exitFailed, "10001 jobs: 10000 succeeded, 1 failed", 2},
		"same job twice":    {"wcId,id\ntwin,1\ntwin,1\n", []string{"--file", "-", "--wait"}, exitDone, "succeeded", 1},
		"no such namespace": {many.String(), []string{"--file", "-", "--namespace", "nope"}, exitFailed, "0 of 10000 jobs published", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := relogin(t, environ, test.stdin, append([]string{"submit", "--timeout", "30s"}, test.args...)...)
			if got.status != test.status || !strings.Contains(got.stdout, test.want) || len(lines(got.stdout)) != test.lines {
				t.Errorf("status %d, want %d; it printed\n%.2000s\n%.2000s", got.status, test.status, got.stdout, got.stderr)
			}
		})
	}
}

func TestSubmitAgainFindsTheEvent(t *testing.T) {
	environ := startQueue(t)
	for range 2 {
		got := relogin(t, environ, "", "submit", "a", "--id", "1", "--wait", "--timeout", "30s")
		if got.status != exitDone || !strings.Contains(got.stdout, "succeeded") {
			t.Errorf("status %d: %s", got.status, got.stderr)
		}
	}
}

func TestSubmitTimesOut(t *testing.T) {
	environ := []string{"RELOGIN_NATS_URL=" + servers.NATS(t)}
	relogin(t, environ, "", "setup") // nobody works
	got := relogin(t, environ, "", "submit", "a", "--wait", "--timeout", "300ms")
	if got.status != exitFailed || !strings.Contains(got.stderr, "time-out after 300ms; 1 of 1 jobs have no event yet:\n  a  ") {
		t.Errorf("status %d: %s", got.status, got.stderr)
	}
	file := "wcId,id\n"
	for i := range 13 {
		file += fmt.Sprintf("slow,%d\n", i)
	}
	got = relogin(t, environ, file, "submit", "--file", "-", "--wait", "--timeout", "1s")
	if want := "13 of 13 jobs have no event yet:\n  slow  0\n  slow  1\n"; !strings.Contains(got.stderr, want) ||
		!strings.Contains(got.stderr, "  slow  9\n  and 3 more\n") {
		t.Errorf("status %d: %s", got.status, got.stderr)
	}
}

func TestWatch(t *testing.T) {
	environ := startQueue(t)
	relogin(t, environ, "", "submit", "a", "failed", "unknown", "--wait", "--timeout", "30s")
	tests := map[string]struct {
		args []string
		want []string // a line each
	}{
		"all":      {[]string{"--since", "1h", "--count", "3"}, []string{"", "", ""}},
		"outcomes": {[]string{"--since", "1h", "--outcome", "failed,unknown", "--count", "2"}, []string{"no", "no"}},
		"account":  {[]string{"--since", "1h", "--account", "a", "--count", "1"}, []string{"succeeded     a"}},
		"json":     {[]string{"--since", "1h", "--account", "a", "--count", "1", "-o", "json"}, []string{`"token":"SECRET"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := relogin(t, environ, "", append([]string{"watch"}, test.args...)...)
			printed := lines(got.stdout)
			if got.status != exitDone || len(printed) != len(test.want) {
				t.Fatalf("status %d: %s%s", got.status, got.stdout, got.stderr)
			}
			for i, want := range test.want {
				if !strings.Contains(printed[i], want) {
					t.Errorf("%q is not in %s", want, printed[i])
				}
			}
			isJSON := json.Valid([]byte(printed[0]))
			if isJSON != (name == "json") || !isJSON && strings.Contains(got.stdout, "SECRET") {
				t.Errorf("it printed %s", got.stdout)
			}
		})
	}
}
