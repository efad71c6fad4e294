package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// controlled returns the control of a namespace that is set up.
func controlled(t testing.TB, nc *nats.Conn) *Control {
	t.Helper()
	if err := Setup(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	c, err := OpenControl(t.Context(), nc, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// watched returns a pod's view of what is paused, which is kept until the test ends.
func watched(t testing.TB, nc *nats.Conn, log *slog.Logger) *PauseWatch {
	t.Helper()
	w, err := WatchPauses(t.Context(), nc, "", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

func (w *PauseWatch) becomes(t testing.TB, paused bool, tenant, wcID string) {
	t.Helper()
	servers.Eventually(t, fmt.Sprintf("tenant %s, account %s: paused %t", tenant, wcID, paused), func() bool {
		return (w.Paused(job.Normal, tenant, wcID) != nil) == paused
	})
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c, w := controlled(t, nc), watched(t, nc, nil)
	const odd = "张 三.>*~"
	for _, one := range []struct {
		target                            Target
		everything, lane, tenant, account bool // is paused then
	}{
		{Target{Scope: ScopeAll}, true, true, true, true},
		{Target{ScopeLane, "urgent"}, false, true, false, false},
		{Target{ScopeTenant, odd}, false, false, true, false},
		{Target{ScopeAccount, odd}, false, false, false, true},
	} {
		t.Run(one.target.String(), func(t *testing.T) {
			before := w.Paused(job.Normal, "x", "y")
			if err := c.Pause(t.Context(), Pause{Target: one.target, By: "me", Reason: "a test"}); err != nil {
				t.Fatal(err)
			}
			servers.Eventually(t, "the pause", func() bool { return w.Counts()[one.target.Scope] == 1 })
			for about, got := range map[string]struct{ paused, want bool }{
				"everything": {w.Paused(job.Normal, "x", "y") != nil, one.everything},
				"lane":       {w.Paused(job.Urgent, "x", "y") != nil, one.lane},
				"tenant":     {w.Paused(job.Normal, odd, "y") != nil, one.tenant},
				"account":    {w.Paused(job.Normal, "x", odd) != nil, one.account},
			} {
				if got.paused != got.want {
					t.Errorf("paused by its %s: %t", about, got.paused)
				}
			}
			all, err := c.Pauses(t.Context())
			if err != nil || len(all) != 1 || all[0].Target != one.target || all[0].By != "me" || all[0].Reason != "a test" || time.Since(all[0].At) > time.Minute {
				t.Errorf("listed: %+v, %v", all, err)
			}
			lifted := w.Paused(job.Urgent, odd, odd)
			if p, err := c.Resume(t.Context(), one.target, "me", "enough"); err != nil || p.Reason != "a test" {
				t.Fatal(p, err)
			}
			<-lifted
			if w.Paused(job.Urgent, odd, odd) != nil || before != nil {
				t.Error("it is still paused")
			}
			if _, err := c.Resume(t.Context(), one.target, "me", ""); !errors.Is(err, ErrNotPaused) {
				t.Errorf("resumed twice: %v", err)
			}
		})
	}
}

func TestPauseEndsByItself(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c, w := controlled(t, nc), watched(t, nc, nil)
	account := Target{ScopeAccount, "a"}
	if err := c.Pause(t.Context(), Pause{Target: account, Until: time.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	w.becomes(t, true, "x", "a")
	<-w.Paused(job.Normal, "x", "a")
	w.becomes(t, false, "x", "a")
	if all, err := c.Pauses(t.Context()); len(all) > 0 || err != nil {
		t.Errorf("listed: %v, %v", all, err)
	}
	if _, err := c.Resume(t.Context(), account, "", ""); !errors.Is(err, ErrNotPaused) {
		t.Errorf("resumed what was over: %v", err)
	}
	if err := c.Pause(t.Context(), Pause{Target: account, Until: time.Now().Add(-time.Second)}); err == nil {
		t.Error("paused until the past")
	}
}

// A pause that is changed takes the place of the one before, and wakes those who wait.
// What counts of an operator's clock is how long the pause is to last.
func TestPauseByAWrongClock(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c, w := controlled(t, nc), watched(t, nc, nil)
	for account, off := range map[string]time.Duration{"behind": -2 * time.Hour, "ahead": 2 * time.Hour} {
		at := time.Now().Add(off)
		p := Pause{Target: Target{ScopeAccount, account}, At: at, Until: at.Add(time.Hour)}
		value, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.bucket.Put(t.Context(), p.key(), value); err != nil {
			t.Fatal(err)
		}
		w.becomes(t, true, "x", account)
		got, err := c.PausesOf(t.Context(), p.Target)
		if err != nil || len(got) != 1 || time.Until(got[0].Until) > time.Hour || time.Since(got[0].At) > time.Minute {
			t.Errorf("%s: %+v, %v", account, got, err)
		}
	}
}

func TestPauseIsChanged(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c, w := controlled(t, nc), watched(t, nc, nil)
	all := Target{Scope: ScopeAll}
	for _, until := range []time.Time{{}, time.Now().Add(time.Hour), time.Now().Add(time.Second)} {
		lifted := w.Paused(job.Normal, "x", "a")
		if err := c.Pause(t.Context(), Pause{Target: all, Until: until}); err != nil {
			t.Fatal(err)
		}
		if lifted != nil {
			<-lifted
		}
		w.becomes(t, true, "x", "a")
	}
	w.becomes(t, false, "x", "a")
}

func TestInvalidTargets(t *testing.T) {
	t.Parallel()
	c := controlled(t, connect(t, servers.NATS(t)))
	for _, target := range []Target{
		{}, {ScopeAll, "x"}, {ScopeLane, ""}, {ScopeLane, "fast"}, {ScopeTenant, ""}, {ScopeAccount, ""},
		{ScopeAccount, "a\nb"}, {ScopeTenant, strings.Repeat("x", job.MaxNameBytes+1)}, {"label", "x"},
	} {
		if err := c.Pause(t.Context(), Pause{Target: target}); !errors.Is(err, ErrInvalidTarget) {
			t.Errorf("pause %v: %v", target, err)
		}
		if _, err := c.Resume(t.Context(), target, "", ""); !errors.Is(err, ErrInvalidTarget) {
			t.Errorf("resume %v: %v", target, err)
		}
	}
}

// An entry that nobody can read pauses what its key is about, and everything where that tells nothing.
func TestUnreadablePauseCounts(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c, w := controlled(t, nc), watched(t, nc, nil)
	put := func(key, value string) {
		t.Helper()
		if _, err := c.bucket.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put("account.a", "{")
	w.becomes(t, true, "x", "a")
	if w.Paused(job.Normal, "x", "b") != nil {
		t.Error("another account is paused")
	}
	put("tenant.acme", `{"scope":"tenant","name":"other"}`)
	w.becomes(t, true, "acme", "b")
	if w.Paused(job.Normal, "other", "b") != nil {
		t.Error("another tenant is paused")
	}
	put("label.blue", "{}")
	w.becomes(t, true, "x", "b")
	all, err := c.Pauses(t.Context())
	if err != nil || len(all) != 3 || !strings.Contains(all[0].Reason, "account.a") || all[0].At.IsZero() {
		t.Fatalf("listed: %+v, %v", all, err)
	}
	for _, p := range all {
		if _, err := c.Resume(t.Context(), p.Target, "", ""); err != nil {
			t.Errorf("resume %s: %v", p.Target, err)
		}
	}
	w.becomes(t, false, "acme", "a")
}

// A pod that was cut off learns what it has missed, and one that starts begins with what is paused.
func TestPausesAcrossARestart(t *testing.T) {
	t.Parallel()
	srv := servers.StartNATS(t, func(o *server.Options) { o.Port = servers.FreePort(t) })
	nc := connect(t, srv.URL())
	c, w := controlled(t, nc), watched(t, nc, nil)
	a, b := Target{ScopeAccount, "a"}, Target{ScopeAccount, "b"}
	if err := c.Pause(t.Context(), Pause{Target: a}); err != nil {
		t.Fatal(err)
	}
	w.becomes(t, true, "x", "a")
	for range 3 {
		srv.Stop()
		if w.Paused(job.Normal, "x", a.Name) == nil {
			t.Error("the pause is forgotten while NATS is away")
		}
		srv.Start()
		operator := connect(t, srv.URL())
		c, err := OpenControl(t.Context(), operator, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Resume(t.Context(), a, "", ""); err != nil {
			t.Fatal(err)
		}
		if err := c.Pause(t.Context(), Pause{Target: b}); err != nil {
			t.Fatal(err)
		}
		w.becomes(t, false, "x", a.Name)
		w.becomes(t, true, "x", b.Name)
		if watched(t, operator, nil).Paused(job.Normal, "x", b.Name) == nil {
			t.Error("a pod that starts knows nothing of the pause")
		}
		a, b = b, a
	}
}

// A pause counts as soon as it is heard of, whatever has become of the consumer that feeds the
// watch; and a pod whose consumer is gone reads all again.
func TestPausesAreHeardOf(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c := controlled(t, nc)
	deaf, err := WatchPauses(t.Context(), nc, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { deaf.listen(ctx) })
	defer func() { cancel(); listening.Wait() }()
	account := Target{ScopeAccount, "a"}
	servers.Eventually(t, "a pause that is heard of", func() bool { // the subscription may not stand yet
		if err := c.Pause(t.Context(), Pause{Target: account}); err != nil {
			t.Fatal(err)
		}
		return deaf.Paused(job.Normal, "x", "a") != nil
	})
	w := watched(t, nc, nil)
	stream, err := c.js.Stream(t.Context(), "KV_RELOGIN_CONTROL")
	if err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "the consumer of the watch", func() bool {
		gone := 0
		for info := range stream.ListConsumers(t.Context()).Info() {
			if err := stream.DeleteConsumer(t.Context(), info.Name); err == nil {
				gone++
			}
		}
		return gone > 0
	})
	if _, err := c.Resume(t.Context(), account, "", ""); err != nil {
		t.Fatal(err)
	}
	w.becomes(t, false, "x", "a")
}

// A pod that can't read what is paused does not start.
func TestPausesUnknown(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	if err := Setup(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(nc)
	if err := js.DeleteStream(t.Context(), "KV_RELOGIN_CONTROL"); err != nil {
		t.Fatal(err)
	}
	if _, err := WatchPauses(t.Context(), nc, "", nil); err == nil || !strings.Contains(err.Error(), "relogin setup") {
		t.Errorf("watching what is not there: %v", err)
	}
}

// A bucket that is deleted while pods run changes nothing for them, and they say so.
func TestPausesDeleted(t *testing.T) {
	t.Parallel()
	servers.SkipIfShort(t, "it waits until the library misses heartbeats")
	nc := connect(t, servers.NATS(t))
	var log servers.Buffer
	c, w := controlled(t, nc), watched(t, nc, slog.New(slog.NewTextHandler(&log, nil)))
	if err := c.Pause(t.Context(), Pause{Target: Target{Scope: ScopeAll}, By: "me"}); err != nil {
		t.Fatal(err)
	}
	w.becomes(t, true, "x", "a")
	if err := c.js.DeleteStream(t.Context(), "KV_RELOGIN_CONTROL"); err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, "a line about the bucket", func() bool { return strings.Contains(log.String(), "reading what is paused fails") })
	if w.Paused(job.Normal, "x", "a") == nil {
		t.Error("everything is resumed")
	}
	if !strings.Contains(log.String(), "what=everything") || !strings.Contains(log.String(), "by=me") {
		t.Errorf("the log does not tell of the pause: %s", log.String())
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	nc := connect(t, servers.NATS(t))
	c := controlled(t, nc)
	audit, err := OpenAudit(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	account := Target{ScopeAccount, "张三"}
	until := time.Now().Add(time.Hour).UTC()
	if err := c.Pause(t.Context(), Pause{Target: account, By: "me", Reason: "tired", Until: until}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resume(t.Context(), account, "you", "awake"); err != nil {
		t.Fatal(err)
	}
	if err := audit.Record(t.Context(), AuditEntry{Action: ActionDrop, By: "me", What: "3 dead letters"}); err != nil {
		t.Fatal(err)
	}
	all, err := audit.Last(t.Context(), 10)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for i, want := range []AuditEntry{
		{Action: ActionPause, By: "me", Reason: "tired", Target: &account, Until: until},
		{Action: ActionResume, By: "you", Reason: "awake", Target: &account},
		{Action: ActionDrop, By: "me", What: "3 dead letters"},
	} {
		got := all[i]
		if got.Action != want.Action || got.By != want.By || got.Reason != want.Reason || !got.Until.Equal(want.Until) || got.What != want.What ||
			(got.Target == nil) != (want.Target == nil) || got.Target != nil && *got.Target != *want.Target ||
			got.Sequence != uint64(i+1) || time.Since(got.At) > time.Minute {
			t.Errorf("entry %d: %+v, want %+v", i, got, want)
		}
	}
	if last, err := audit.Last(t.Context(), 1); err != nil || len(last) != 1 || last[0].Action != ActionDrop {
		t.Errorf("the last one: %+v, %v", last, err)
	}
	// What can't be written into the audit is not done.
	if err := c.js.DeleteStream(t.Context(), "RELOGIN_AUDIT"); err != nil {
		t.Fatal(err)
	}
	if err := c.Pause(t.Context(), Pause{Target: account}); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("paused without the audit: %v", err)
	}
	if standing, err := c.Pauses(t.Context()); len(standing) > 0 || err != nil {
		t.Errorf("paused are: %v, %v", standing, err)
	}
}
