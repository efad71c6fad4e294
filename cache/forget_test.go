package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

// forgettable does to one account all that leaves a key, and returns its jobs.
func (f *fixture) forgettable(wcID string) []*worker.Job {
	f.tb.Helper()
	var jobs []*worker.Job
	for _, id := range []string{"failed", "open", "waits"} {
		a := f.ask(id, id)
		a.WcID = wcID
		if _, err := f.Begin(f.tb.Context(), a); err != nil {
			f.tb.Fatal(err)
		}
		if id == "failed" {
			end := f.end(id, id, worker.Failed)
			end.WcID, end.Cooldown = wcID, time.Millisecond
			if _, err := f.Finish(f.tb.Context(), end); err != nil {
				f.tb.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // the cool-down
		}
		f.Snooze(wcID, id)
		jobs = append(jobs, &worker.Job{ID: id, WcID: wcID, Tenant: "t"})
	}
	end := f.end("open", "open", worker.Failed) // and keeps the lock, and the last result
	end.WcID, end.Cooldown, end.Keep = wcID, time.Hour, true
	if _, err := f.Finish(f.tb.Context(), end); err != nil {
		f.tb.Fatal(err)
	}
	return jobs
}

func TestForget(t *testing.T) {
	var trust ledger
	f := open(t, servers.RealRedis(t), trusting(&trust), func(o *Options) { o.DailyPrompts = 5 })
	kept := f.forgettable("kept")
	const each = 11 // keys of an account; the mark is one more
	servers.Eventually(t, "keys of one account", func() bool { return len(f.keysLeft()) == each+1 })
	var jobs []*worker.Job
	for i := range batchSize { // more than one batch
		jobs = append(jobs, &worker.Job{ID: "never", WcID: fmt.Sprint("never-", i)})
	}
	jobs = append(jobs, f.forgettable("gone")...)
	servers.Eventually(t, "keys of two accounts", func() bool { return len(f.keysLeft()) == 2*each+1 })
	for _, marked := range []bool{true, false} {
		if is, err := f.Marked(t.Context()); err != nil || is != marked {
			t.Errorf("marked: %v, %v", is, err)
		}
		if err := f.Forget(t.Context(), slices.Values(jobs)); err != nil {
			t.Fatal(err)
		}
		if n := len(f.keysLeft()); n != each {
			t.Errorf("%d keys are left: %s", n, strings.Join(f.keysLeft(), " "))
		}
	}
	if err := f.Forget(t.Context(), slices.Values(kept)); err != nil || len(f.keysLeft()) > 0 {
		t.Errorf("%v, and %q are left", err, f.keysLeft())
	}
}

// An account's keys are in one slot, and a batch goes to all nodes.
func TestForgetInACluster(t *testing.T) {
	addrs := servers.StartRedisCluster(t)
	f := open(t, "redis://"+strings.Join(addrs, ","))
	var jobs []*worker.Job
	for i := range 30 {
		jobs = append(jobs, f.forgettable(fmt.Sprint("wxid_", i))...)
	}
	if err := f.Forget(t.Context(), slices.Values(jobs)); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if left := servers.Ask(t, addr, "KEYS", "*"); left != "[]" {
			t.Errorf("left are %s", left)
		}
	}
}
