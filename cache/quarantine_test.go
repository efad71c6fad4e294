package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// ledger is an [IncarnationStore] for one test: the first name of a kind counts at once.
type ledger struct {
	sync.Mutex
	from      map[string]map[string]time.Time // by kind and name
	lease     time.Duration                   // the longest
	suspended time.Duration
	fail      error
}

func (l *ledger) Suspended() time.Duration {
	l.Lock()
	defer l.Unlock()
	return l.suspended
}

func (l *ledger) LockDelayEnds(_ context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error) {
	l.Lock()
	defer l.Unlock()
	if l.fail != nil {
		return time.Time{}, l.fail
	}
	if l.from == nil {
		l.from = map[string]map[string]time.Time{}
	}
	names := l.from[kind]
	if names == nil {
		l.from[kind] = map[string]time.Time{name: now}
	} else if _, known := names[name]; !known {
		names[name] = now.Add(l.lease + extra)
	}
	return l.from[kind][name], nil
}

// First has the names count at once when no other one does.
func (l *ledger) First(_ context.Context, kind string, names ...string) error {
	l.Lock()
	defer l.Unlock()
	if l.from == nil {
		l.from = map[string]map[string]time.Time{}
	}
	if l.fail == nil && l.from[kind] == nil {
		l.from[kind] = map[string]time.Time{}
		for _, name := range names {
			l.from[kind][name] = time.Unix(0, 0)
		}
	}
	return l.fail
}

// names returns how many of the kind are known.
func (l *ledger) names(kind string) int {
	l.Lock()
	defer l.Unlock()
	return len(l.from[kind])
}

func trusting(incarnations IncarnationStore) func(*Options) {
	return func(o *Options) {
		shortLease(o)
		o.Incarnations, o.Timeout, o.cutOff = incarnations, time.Second, time.Millisecond
	}
}

// TestRestart restarts Redis, with and without its data, while a client is connected.
// The next grant is one lease after the first connection to the new process.
func TestRestart(t *testing.T) {
	for name, args := range map[string][]string{
		"empty":     nil,
		"with data": {"--appendonly", "yes", "--appendfsync", "always"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.StartRedis(t, args...)
			var trust ledger
			f := open(t, server.URL(), trusting(&trust))
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			if n := trust.names(process); n != 1 || f.Stats().SuspendedFor != 0 {
				t.Fatalf("%d ids, suspended for %v", n, f.Stats().SuspendedFor)
			}
			server.Kill()
			if _, err := f.Begin(t.Context(), f.ask("k", "b")); err == nil {
				t.Fatal("begun without a server")
			}
			server.Start()
			restarted := time.Now()
			f.begunAgain(f.ask("k", "c"), restarted)

			// Another pod learns of the same servers, and waits no longer.
			second := open(t, server.URL(), trusting(&trust), func(o *Options) { o.Namespace = f.opts.Namespace })
			if n := trust.names(process); n != 2 || second.Stats().SuspendedFor != 0 {
				t.Fatalf("%d ids, suspended for %v", n, second.Stats().SuspendedFor)
			}
		})
	}
}

// begunAgain asks until the answer is Granted, and checks that it was Suspended for a
// lease since, and nothing worse than an error in between.
func (f *fixture) begunAgain(a worker.Ask, since time.Time) {
	f.tb.Helper()
	suspended := false
	servers.Eventually(f.tb, "granted", func() bool {
		answer, err := f.Begin(f.tb.Context(), a)
		if err != nil {
			return false
		}
		switch answer.State {
		case worker.Suspended:
			suspended = true
			if answer.Wait <= 0 || answer.Wait > f.Lease()+f.opts.cutOff {
				f.tb.Fatalf("wait %v", answer.Wait)
			}
			// An ended job is concluded meanwhile.
			if _, err := f.Finish(f.tb.Context(), f.end("over", "", job.Expired)); err != nil {
				f.tb.Fatal(err)
			}
		case worker.Granted:
			return true
		}
		return false
	})
	if waited := time.Since(since); !suspended || waited < f.Lease() {
		f.tb.Fatalf("granted after %v of %v, suspended: %v", waited, f.Lease(), suspended)
	}
}

// TestGrantOnNewConnection has the connection made by the very pipeline that begins:
// its grant is undone.
func TestGrantOnNewConnection(t *testing.T) {
	server := servers.StartRedis(t)
	var trust ledger
	f := open(t, server.URL(), trusting(&trust))
	f.quarantine.until[anySlot].Store(0) // as if the connections of Open had not been
	f.quarantine.known = map[string]bool{}
	if err := f.raw.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "no").Err(); err == nil {
		t.Log("the client survived") // it may be told before it is killed
	}
	trust.from[process] = map[string]time.Time{"another": {}}
	servers.Eventually(t, "suspended", func() bool {
		answer, err := f.Begin(t.Context(), f.ask("j", "a"))
		if answer.State == worker.Granted {
			t.Fatal("granted on a server that is not trusted yet")
		}
		return err == nil && answer.State == worker.Suspended
	})
	f.wantKeys(f.markKey())
}

// TestIncarnationStoreFails has the store of trusted ids out of reach: nothing is granted.
func TestIncarnationStoreFails(t *testing.T) {
	trust := ledger{fail: errors.New("no quorum")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o := Options{URL: servers.RealRedis(t), Namespace: servers.Namespace(t), Incarnations: &trust, SendWindow: 1, ConfirmTimeout: 1}
	_, err := Open(ctx, o)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, trust.fail) {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "identify redis server: ask whether") {
		t.Errorf("unclear error: %v", err)
	}
}

// TestNoID has a server that can't be told from another: refused at once.
func TestNoID(t *testing.T) {
	o := Options{URL: servers.EmbeddedRedis(t), Incarnations: &ledger{}, SendWindow: 1, ConfirmTimeout: 1}
	if _, err := Open(t.Context(), o); !errors.Is(err, errNoID) {
		t.Fatalf("error %v", err)
	}
}

func TestClockDifference(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct{ from, min, max time.Duration }{
		"counts":          {-time.Hour, 0, 0},
		"part of a lease": {30 * time.Second, 29 * time.Second, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Incarnations: &ledger{from: map[string]map[string]time.Time{process: {"id": now.Add(c.from)}}}}
			if err := o.check(); err == nil {
				t.Fatal("options without windows")
			}
			q := newQuarantine(&o)
			if err := q.admit(t.Context(), process, "id", now, 0, nil); err != nil {
				t.Fatal(err)
			}
			if wait := q.wait(anySlot); wait < c.min || wait > c.max {
				t.Fatalf("wait %v", wait)
			}
		})
	}
}

// TestFlush takes the keys from a server that goes on: the next grant is one lease after
// somebody noticed, for every pod.
func TestFlush(t *testing.T) {
	server := servers.StartRedis(t)
	var trust ledger
	f := open(t, server.URL(), trusting(&trust))
	second := open(t, server.URL(), trusting(&trust), func(o *Options) { o.Namespace = f.opts.Namespace })
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	servers.Ask(t, server.Addr, "FLUSHALL")
	flushed := time.Now()
	second.mustBegin(f.ask("k", "b"), worker.Suspended)
	f.mustBegin(f.ask("k", "c"), worker.Suspended)
	f.begunAgain(f.ask("k", "d"), flushed)
	second.mustBegin(second.ask("l", "e"), worker.Held)
	if n := trust.names(memory); n != 2 {
		t.Errorf("%d marks were seen", n)
	}
}

// TestIncarnationOutOfReach has the store of trusted names fail after a flush.
func TestIncarnationOutOfReach(t *testing.T) {
	server := servers.StartRedis(t)
	var trust ledger
	f := open(t, server.URL(), trusting(&trust))
	servers.Ask(t, server.Addr, "FLUSHALL")
	trust.Lock()
	trust.fail = errors.New("no quorum")
	trust.Unlock()
	for range 3 {
		if answer, err := f.Begin(t.Context(), f.ask("j", "a")); !errors.Is(err, trust.fail) {
			t.Fatalf("begun: %+v, %v", answer, err)
		}
	}
	trust.Lock()
	trust.fail = nil
	trust.Unlock()
	f.mustBegin(f.ask("j", "b"), worker.Suspended)
}

// TestEviction has a server that may evict locks: refused at once.
func TestEviction(t *testing.T) {
	server := servers.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	o := Options{URL: server.URL(), Incarnations: &ledger{}, SendWindow: 1, ConfirmTimeout: 1}
	if _, err := Open(t.Context(), o); !errors.Is(err, errEvicts) {
		t.Fatalf("error %v", err)
	}
}
