package cache

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

const evictsLine = "redis may evict locks"

func watching(incarnations IncarnationStore, log *servers.Buffer) func(*Options) {
	return func(o *Options) {
		o.Incarnations, o.watchEvery = incarnations, 50*time.Millisecond
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
}

// TestEvictsWhileRunning has a server reconfigured to evict while connections to it go on.
func TestEvictsWhileRunning(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	var log servers.Buffer
	f := open(t, server.URL(), trusting(&ledger{}), watching(&ledger{}, &log))
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	servers.Ask(t, server.Addr, "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "volatile-ttl")
	f.eventuallyState(worker.Suspended, "k", "b")
	for range 3 { // on new connections too
		f.mustFinish(f.end("j", "a", job.Succeeded), nil)
		servers.Ask(t, server.Addr, "CLIENT", "KILL", "TYPE", "normal")
		servers.Eventually(t, "connected", func() bool { return f.Ping(t.Context()) == nil })
	}
	f.mustBegin(f.ask("k", "c"), worker.Suspended)
	servers.Ask(t, server.Addr, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	f.eventuallyState(worker.Granted, "k", "d")
	servers.Eventually(t, "a line", func() bool { return strings.Contains(log.String(), "redis evicts no more") })
	if text := log.String(); strings.Count(text, evictsLine) != 1 || !strings.Contains(text, server.Addr) {
		t.Errorf("it says\n%s", text)
	}
}

// TestEvicted has keys evicted, and the server mended before anybody looks again: what was
// lost counts as after a restart, for all pods.
func TestEvicted(t *testing.T) {
	t.Parallel()
	server := servers.StartRedis(t)
	var trust ledger
	var log servers.Buffer
	f := open(t, server.URL(), trusting(&trust), watching(&trust, &log))
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	evict(t, server.Addr)
	mended := time.Now()
	f.eventuallyState(worker.Suspended, "k", "b")
	f.begunAgain(f.ask("k", "c"), mended)
	second := open(t, server.URL(), trusting(&trust), func(o *Options) { o.Namespace = f.opts.Namespace })
	if n := trust.names(process); n != 2 || second.Stats().SuspendedFor != 0 {
		t.Errorf("%d names of processes, suspended for %v", n, second.Stats().SuspendedFor)
	}
}

// evict has the server evict keys, and no more.
func evict(t *testing.T, addr string) {
	t.Helper()
	for i := range 100 {
		servers.Ask(t, addr, "SET", fmt.Sprint("filler-", i), strings.Repeat("x", 10000), "EX", "100")
	}
	servers.Ask(t, addr, "CONFIG", "SET", "maxmemory-policy", "volatile-random", "maxmemory", "1")
	servers.Eventually(t, "evicted", func() bool { return !strings.Contains(servers.Ask(t, addr, "INFO", "stats"), "evicted_keys:0\r") })
	servers.Ask(t, addr, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "0")
}

// TestClusterEvicts has one master of a Cluster reconfigured.
func TestClusterEvicts(t *testing.T) {
	t.Parallel()
	addrs := servers.StartRedisCluster(t)
	var trust ledger
	var log servers.Buffer
	f := open(t, "redis://"+strings.Join(addrs, ","), trusting(&trust), watching(&trust, &log))
	f.eventuallyState(worker.Granted, "j", "a")
	servers.Ask(t, addrs[2], "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru")
	f.eventuallyState(worker.Suspended, "k", "b")
	servers.Ask(t, addrs[2], "CONFIG", "SET", "maxmemory", "0")
	f.eventuallyState(worker.Granted, "k", "c")
	if text := log.String(); strings.Count(text, evictsLine) != 1 || !strings.Contains(text, addrs[2]) {
		t.Errorf("it says\n%s", text)
	}
}

// TestNotRegistered has the pod's lease unknown to the others.
func TestNotRegistered(t *testing.T) {
	t.Parallel()
	trust := ledger{suspended: time.Minute}
	f := open(t, servers.RealRedis(t), trusting(&trust))
	if answer := f.mustBegin(f.ask("j", "a"), worker.Suspended); answer.Wait != time.Minute {
		t.Errorf("wait %v", answer.Wait)
	}
	f.wantKeys(f.markKey())
}

// eventuallyState begins another job of another account until the answer is the state.
func (f *fixture) eventuallyState(want worker.State, job, token string) {
	f.tb.Helper()
	n := 0
	servers.Eventually(f.tb, string(want), func() bool {
		n++
		a := f.ask(job, token)
		a.WcID = fmt.Sprint(a.WcID, token, n)
		answer, err := f.Begin(f.tb.Context(), a)
		return err == nil && answer.State == want
	})
}
