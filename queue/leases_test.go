package queue

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
)

// opened returns a pod's store, with times that a test can wait for.
func opened(t *testing.T, nc *nats.Conn) *IncarnationStore {
	t.Helper()
	if err := Setup(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	store, err := OpenIncarnationStore(t.Context(), nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	store.times = timing{refresh: 20 * time.Millisecond, retry: 10 * time.Millisecond, validity: time.Second, settling: 200 * time.Millisecond}
	return store
}

func registered(t *testing.T, nc *nats.Conn, lease time.Duration) *IncarnationStore {
	t.Helper()
	store := opened(t, nc)
	if err := store.Register(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	return store
}

// kept refreshes the registration until the function that it returns is called.
func (s *IncarnationStore) kept(tb *testing.T, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(tb.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx, log) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	tb.Cleanup(stop)
	return stop
}

func (s *IncarnationStore) longest(tb *testing.T) time.Duration {
	tb.Helper()
	longest, err := s.look(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return longest
}

func TestLockDelayEnds(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	store := registered(t, nc, time.Minute)
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	later := now.Add(time.Hour)
	for _, test := range []struct {
		id    string
		now   time.Time
		extra time.Duration
		want  time.Time
	}{
		{"zero", now, 0, time.Unix(0, 0)}, {"one", now, 0, now.Add(time.Minute)}, {"one", later, 0, now.Add(time.Minute)},
		{"two", later, time.Second, later.Add(61 * time.Second)}, {"zero", later, 0, time.Unix(0, 0)},
		{"two", now, time.Second, now.Add(61 * time.Second)}, // the server's clock was set back
	} {
		got, err := store.LockDelayEnds(t.Context(), "process", test.id, test.now, test.extra)
		if err != nil || !got.Equal(test.want) {
			t.Errorf("%s at %v counts from %v, %v; want %v", test.id, test.now, got, err, test.want)
		}
	}
	if got, err := store.LockDelayEnds(t.Context(), "memory", "one", later, 0); err != nil || got.Unix() != 0 {
		t.Errorf("the first of another kind counts from %v, %v", got, err)
	}
}

// TestLongestLease has a pod of 5 s meet a server that lost the lock of a pod of 60 s.
func TestLongestLease(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	long := registered(t, nc, time.Minute)
	short := registered(t, nc, 5*time.Second)
	now := time.Now()
	for _, store := range []*IncarnationStore{long, short} {
		if d := store.Suspended(); d != 0 {
			t.Errorf("suspended for %v", d)
		}
	}
	for id, want := range map[string]time.Time{"zero": time.Unix(0, 0), "one": now.Add(time.Minute)} {
		_, err := long.LockDelayEnds(t.Context(), "process", "zero", now, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := short.LockDelayEnds(t.Context(), "process", id, now, 0); err != nil || !got.Equal(want) {
			t.Errorf("%s counts from %v, %v; want %v", id, got, err, want)
		}
	}
	// Who looks again sees the same, although its own lease is shorter than that.
	if got, err := short.LockDelayEnds(t.Context(), "process", "one", now.Add(time.Second), 0); err != nil || !got.Equal(now.Add(time.Minute)) {
		t.Errorf("counts from %v, %v", got, err)
	}
}

// TestLeaseEndsOnceOver has the pods of the longer lease end: it counts for as long as they may
// have granted after their last refresh, and a lease more.
func TestLeaseEndsOnceOver(t *testing.T) {
	servers.SkipIfShort(t, "it waits for leases to end")
	nc := connect(t, servers.NATS(t))
	long := registered(t, nc, 700*time.Millisecond)
	stopped := long.kept(t, slog.New(slog.DiscardHandler))
	short := registered(t, nc, 100*time.Millisecond)
	for until := time.Now().Add(1500 * time.Millisecond); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if d := short.longest(t); d != 700*time.Millisecond {
			t.Fatalf("the longest lease is %v, while its pod runs", d)
		}
	}
	stopped()
	servers.Eventually(t, "the end of the longer lease", func() bool { return short.longest(t) == 100*time.Millisecond })
	if d := time.Since(long.validFrom); d < 1700*time.Millisecond {
		t.Errorf("it was over %v after it was refreshed", d)
	}
	if long.Suspended() == 0 {
		t.Error("its pod may still grant")
	}
	// The pod comes back: it registers again before it grants, and waits for the others.
	if longest := long.longest(t); longest != 700*time.Millisecond || long.Suspended() == 0 {
		t.Errorf("longest %v, suspended for %v", longest, long.Suspended())
	}
}

// TestLeaseGrows has a pod register a longer lease than the others': it grants once a
// master that was cut off before no longer does, and so does the next such pod.
func TestLeaseGrows(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	short := registered(t, nc, time.Second)
	began := time.Now()
	first := registered(t, nc, 2*time.Second)
	second := registered(t, nc, 2*time.Second)
	shorter := registered(t, nc, 1500*time.Millisecond)
	for name, suspended := range map[*IncarnationStore]bool{short: false, first: true, second: true, shorter: true} {
		if got := name.Suspended() > 0; got != suspended {
			t.Errorf("lease %v is suspended: %v", name.lease, got)
		}
	}
	if longest := short.longest(t); longest != 2*time.Second {
		t.Errorf("longest %v", longest)
	}
	second.kept(t, slog.New(slog.DiscardHandler))
	servers.Eventually(t, "the longer lease is used", func() bool { return second.Suspended() == 0 })
	if d := time.Since(began); d < second.times.settling {
		t.Errorf("used after %v", d)
	}
	third := registered(t, nc, 2*time.Second)
	between := registered(t, nc, 1200*time.Millisecond)
	if third.Suspended() != 0 || between.Suspended() != 0 {
		t.Error("suspended, although as long a lease is used")
	}
}

// TestNATSAway has the registration lapse while NATS is away, and be renewed after it.
func TestNATSAway(t *testing.T) {
	servers.SkipIfShort(t, "it waits for a time-out of ten seconds")
	server := servers.StartNATS(t, nil)
	store := registered(t, connect(t, server.URL()), time.Second)
	var log servers.Buffer
	store.kept(t, slog.New(slog.NewTextHandler(&log, nil)))
	server.Stop()
	servers.Eventually(t, "suspended", func() bool { return store.Suspended() > 0 })
	servers.Eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "no confirmation starts") })
	server.Start()
	servers.Eventually(t, "registered again", func() bool { return store.Suspended() == 0 })
	servers.Eventually(t, "a line that says so", func() bool { return strings.Contains(log.String(), "its confirmations start") })
	if n := strings.Count(log.String(), "no confirmation starts"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
}

// TestMachineSlept has the wall clock say that the registration is no longer valid.
func TestMachineSlept(t *testing.T) {
	store := opened(t, connect(t, servers.NATS(t)))
	store.times.refresh = time.Hour
	if err := store.Register(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	store.validFrom = time.Now().Round(0).Add(-time.Hour)
	store.due = store.validFrom.Add(store.times.validity)
	store.mu.Unlock()
	if store.Suspended() == 0 {
		t.Fatal("it may grant")
	}
	store.kept(t, slog.New(slog.DiscardHandler))
	servers.Eventually(t, "registered again", func() bool { return store.Suspended() == 0 })
}

// TestLeasesDeleted has an operator delete the key, and somebody write something else there.
func TestLeasesDeleted(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	long, short := registered(t, nc, time.Minute), registered(t, nc, time.Second)
	if err := short.bucket.Delete(t.Context(), leasesKey); err != nil {
		t.Fatal(err)
	}
	if longest := short.longest(t); longest != time.Second {
		t.Errorf("longest %v", longest)
	}
	if longest := long.longest(t); longest != time.Minute || long.Suspended() == 0 {
		t.Errorf("longest %v, suspended for %v", longest, long.Suspended())
	}
	if _, err := short.bucket.Put(t.Context(), leasesKey, []byte("what is this")); err != nil {
		t.Fatal(err)
	}
	if _, err := short.look(t.Context()); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("error %v", err)
	}
}

// TestPodsThatDiffer has one line about it in each pod.
func TestPodsThatDiffer(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	long := registered(t, nc, time.Second)
	var log servers.Buffer
	long.kept(t, slog.New(slog.NewTextHandler(&log, nil)))
	const says = "differ in --confirm-timeout or --send-window"
	time.Sleep(5 * long.times.refresh)
	if strings.Contains(log.String(), says) {
		t.Fatalf("pods differ from nobody:\n%s", log.String())
	}
	short := registered(t, nc, 100*time.Millisecond)
	short.kept(t, slog.New(slog.DiscardHandler))
	servers.Eventually(t, "a warning", func() bool { return strings.Contains(log.String(), says) })
	time.Sleep(5 * long.times.refresh)
	if text := log.String(); strings.Count(text, says) != 1 || !strings.Contains(text, "lease=1s other=100ms") {
		t.Errorf("it says\n%s", text)
	}
}

// TestManyPods has as many register at once as a rollout may start.
func TestManyPods(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	var all sync.WaitGroup
	began := time.Now()
	for i := range 50 {
		store := opened(t, nc)
		all.Go(func() {
			if err := store.Register(t.Context(), time.Duration(1+i%5)*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("50 pods registered within %v", time.Since(began))
	if longest := opened(t, nc).longest(t); longest != 5*time.Second {
		t.Errorf("longest %v", longest)
	}
}
