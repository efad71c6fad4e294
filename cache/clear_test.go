package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// fill does to one account all that leaves a key.
func (f *fixture) fill(wcID string) {
	f.tb.Helper()
	for _, id := range []string{"failed", "open", "waits"} {
		a := f.ask(id, id)
		a.WcID = wcID
		if _, err := f.Begin(f.tb.Context(), a); err != nil {
			f.tb.Fatal(err)
		}
		if id == "failed" {
			end := f.end(id, id, job.Failed)
			end.WcID, end.Cooldown = wcID, time.Millisecond
			if _, err := f.Finish(f.tb.Context(), end); err != nil {
				f.tb.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // the cool-down
		}
		f.Snooze(wcID, id)
	}
	end := f.end("open", "open", job.Failed) // and keeps the lock, and the last result
	end.WcID, end.Cooldown, end.Keep = wcID, time.Hour, true
	if _, err := f.Finish(f.tb.Context(), end); err != nil {
		f.tb.Fatal(err)
	}
}

func TestClear(t *testing.T) {
	var trust ledger
	f := open(t, servers.RealRedis(t), trusting(&trust), func(o *Options) { o.DailyPrompts = 5 })
	other := open(t, servers.RealRedis(t), func(o *Options) { o.Namespace = f.opts.Namespace + "-2" })
	other.fill("kept")
	other.mustTidy()
	kept := len(other.keysLeft())
	f.fill("wxid_1")
	const each = 11 // keys of an account; the mark is one more
	servers.Eventually(t, "keys of the account", func() bool { return len(f.keysLeft()) == each+1 })
	for i := range batchSize { // more than one batch
		f.raw.Set(t.Context(), f.Client.keys(fmt.Sprint("more-", i)).lock(), "x", time.Minute)
	}
	for range 2 { // there may be nothing to clear
		if err := f.Clear(t.Context()); err != nil || len(f.keysLeft()) > 0 {
			t.Errorf("%v, and %q are left", err, f.keysLeft())
		}
	}
	if n := len(other.keysLeft()); n != kept {
		t.Errorf("another namespace has %d keys of %d", n, kept)
	}
}

// The keys of a batch are in many slots, and all nodes have some.
func TestClearOfACluster(t *testing.T) {
	addrs := servers.StartRedisCluster(t)
	f := open(t, "redis://"+strings.Join(addrs, ","))
	for i := range 30 {
		f.fill(fmt.Sprint("wxid_", i))
	}
	if err := f.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if left := servers.Ask(t, addr, "KEYS", "*"); left != "[]" {
			t.Errorf("left are %s", left)
		}
	}
}
