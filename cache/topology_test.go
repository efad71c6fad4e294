package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestCluster begins and finishes accounts in slots of all three nodes.
func TestCluster(t *testing.T) {
	addrs := servers.StartRedisCluster(t)
	var trust ledger
	f := open(t, "redis://"+strings.Join(addrs[:2], ","), trusting(&trust), func(o *Options) { o.ConfirmTimeout = time.Second })
	if n := trust.names(process); n != 3 || f.Stats().SuspendedFor != 0 {
		t.Fatalf("%d of 3 masters count, and the first pod of a new Cluster waits for %v", n, f.Stats().SuspendedFor)
	}
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			a := f.ask("j", fmt.Sprint("t", i))
			a.WcID = fmt.Sprint("wxid_", i)
			answer, err := f.Begin(t.Context(), a)
			if err != nil || answer.State != worker.Granted {
				t.Error(answer, err)
				return
			}
			end := f.end("j", a.Token, job.Succeeded)
			end.WcID = a.WcID
			if _, err := f.Finish(t.Context(), end); err != nil {
				t.Error(err)
			}
			f.Shrink(a.WcID, "j")
		})
	}
	all.Wait()
	f.mustTidy()
	if got := f.raw.Get(t.Context(), f.Client.keys("wxid_7").job("j")).Val(); got != "1" {
		t.Errorf("not shrunk: %q", got)
	}
	used := 0
	for _, addr := range addrs {
		if strings.Contains(servers.Ask(t, addr, "INFO", "keyspace"), "keys=") {
			used++
		}
	}
	if used != 3 {
		t.Errorf("%d nodes were used", used)
	}
	if s := f.Stats(); s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
	for _, addr := range addrs[:1] { // one node alone is taken for a single server
		_, err := Open(t.Context(), Options{URL: "redis://" + addr, SendWindow: 1, ConfirmTimeout: 1, Namespace: "other"})
		if err == nil || !strings.Contains(err.Error(), "Cluster") {
			t.Errorf("error %v", err)
		}
	}
}

// TestSentinel kills the master: a replica, promoted, is a new server, and grants a
// lease after a pod saw it.
func TestSentinel(t *testing.T) {
	redis := servers.StartRedisSentinel(t)
	var trust ledger
	f := open(t, redis.URL(), trusting(&trust), func(o *Options) { o.SentinelMaster, o.cutOff = "main", time.Second })
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	f.mustFinish(f.end("j", "a", job.Succeeded), nil)
	for _, replica := range redis.Servers[1:] {
		servers.Eventually(t, "replicated", func() bool {
			return strings.Contains(servers.Ask(t, replica.Addr, "INFO", "keyspace"), "keys=")
		})
	}
	redis.Servers[0].Kill()
	killed := time.Now()
	f.begunAgain(f.ask("k", "b"), killed)
	if waited := time.Since(killed); waited < f.Lease()+f.opts.cutOff {
		t.Errorf("granted after %v, while a master that was cut off might still grant", waited)
	}
	f.mustBegin(f.ask("j", "c"), worker.Done)
	if n := trust.names(process); n != 2 {
		t.Errorf("%d servers were seen", n)
	}
}

// TestReplica opens on a replica: refused, since once promoted it would grant on
// connections that were made before.
func TestReplica(t *testing.T) {
	master := servers.StartRedis(t)
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := servers.StartRedis(t, "--replicaof", host, port)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Open(ctx, Options{URL: replica.URL(), Incarnations: &ledger{}, SendWindow: 1, ConfirmTimeout: 1})
	if !errors.Is(err, errReplica) {
		t.Fatalf("error %v", err)
	}
}
