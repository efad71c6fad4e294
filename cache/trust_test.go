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
)

// memory is a [Trust] for one test: the first id counts at once.
type memory struct {
	sync.Mutex
	from  map[string]time.Time
	asked int
	fail  error
}

func (m *memory) CountsFrom(_ context.Context, id string, now time.Time, lease time.Duration) (time.Time, error) {
	m.Lock()
	defer m.Unlock()
	m.asked++
	if m.fail != nil {
		return time.Time{}, m.fail
	}
	if m.from == nil {
		m.from = map[string]time.Time{id: now}
	} else if _, known := m.from[id]; !known {
		m.from[id] = now.Add(lease)
	}
	return m.from[id], nil
}

func trusting(trust Trust) func(*Options) {
	return func(o *Options) {
		shortLease(o)
		o.Trust, o.Timeout = trust, time.Second
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
			var trust memory
			f := open(t, server.URL(), trusting(&trust))
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			if n := len(trust.from); n != 1 || f.Stats().SuspendedFor != 0 {
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
			second := open(t, server.URL(), trusting(&trust))
			if n := len(trust.from); n != 2 || second.Stats().SuspendedFor != 0 {
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
	eventually(f.tb, "granted", func() bool {
		answer, err := f.Begin(f.tb.Context(), a)
		if err != nil {
			return false
		}
		switch answer.State {
		case worker.Suspended:
			suspended = true
			if answer.Wait <= 0 || answer.Wait > f.Lease() {
				f.tb.Fatalf("wait %v", answer.Wait)
			}
			// An ended job is concluded meanwhile.
			if _, err := f.Finish(f.tb.Context(), f.end("over", "", worker.Expired)); err != nil {
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
	trust := memory{from: map[string]time.Time{}}
	f := open(t, server.URL(), trusting(&trust))
	f.trusted.until.Store(0) // as if the connections of Open had not been
	f.trusted.known = map[string]bool{}
	if err := f.raw.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "no").Err(); err == nil {
		t.Log("the client survived") // it may be told before it is killed
	}
	trust.from = map[string]time.Time{"another": {}}
	eventually(t, "suspended", func() bool {
		answer, err := f.Begin(t.Context(), f.ask("j", "a"))
		if answer.State == worker.Granted {
			t.Fatal("granted on a server that is not trusted yet")
		}
		return err == nil && answer.State == worker.Suspended
	})
	f.wantKeys()
}

// TestTrustFails has the store of trusted ids out of reach: nothing is granted.
func TestTrustFails(t *testing.T) {
	trust := memory{fail: errors.New("no quorum")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o := Options{URL: servers.RealRedis(t), Namespace: servers.Namespace(t), Trust: &trust, SendWindow: 1, ConfirmTimeout: 1}
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
	o := Options{URL: servers.EmbeddedRedis(t), Trust: &memory{}, SendWindow: 1, ConfirmTimeout: 1}
	if _, err := Open(t.Context(), o); !errors.Is(err, errNoID) {
		t.Fatalf("error %v", err)
	}
}

func TestClockDifference(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct{ from, min, max time.Duration }{
		"counts":              {-time.Hour, 0, 0},
		"part of a lease":     {30 * time.Second, 29 * time.Second, 30 * time.Second},
		"the clock went back": {time.Hour, 59 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Trust: &memory{from: map[string]time.Time{"id": now.Add(c.from)}}}
			if err := o.check(); err == nil {
				t.Fatal("options without windows")
			}
			q := newQuarantine(&o)
			q.lease = time.Minute
			if err := q.admit(t.Context(), "id", now); err != nil {
				t.Fatal(err)
			}
			if wait := q.wait(); wait < c.min || wait > c.max {
				t.Fatalf("wait %v", wait)
			}
		})
	}
}
