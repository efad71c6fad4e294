package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
)

// The master is killed. Sentinel promotes a replica, not before the old master would
// have stopped granting, and workers go on there, not before its prompts have ended.
func TestFailover(t *testing.T) {
	servers.SkipIfShort(t, "it starts servers, and waits for a failover")
	t.Parallel()
	ca := newAuthority(t)
	set := startRedis(t, ca)
	natsURL := servers.NATS(t)
	set.await()
	gateway, gatewayURL := startGateway(t, ca)
	env := slices.Concat(set.env(), []string{"RELOGIN_NATS_URL=" + natsURL, "RELOGIN_GATEWAY_URL=" + gatewayURL,
		"RELOGIN_CONFIRM_TIMEOUT=2s", "RELOGIN_SEND_WINDOW=1s", "RELOGIN_MIN_CONFIRM_TIME=1s"})
	w := start(t, env, "worker")
	w.WaitForLog("worker ready")
	mustRun(t, env, "submit", "--wait", "before")

	killed := time.Now()
	set.nodes[0].Kill()
	after := start(t, env, "submit", "--wait", "after")
	w.WaitForLog("may have lost locks")
	if status := after.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	// down-after-milliseconds, and what a worker waits for a master that was cut off.
	if waited := time.Since(killed); waited < 15*time.Second+15*time.Second {
		t.Errorf("a confirmation ended %v after the master", waited)
	}
	if stats := gateway.Stats(); stats.Prompts != 2 || stats.MaxOpenPerAccount != 1 {
		t.Errorf("%+v", stats)
	}
	set.checkPromoted()
	mustTerminate(t, w)
	set.checkNothingDenied()
}

// checkPromoted wants one of the replicas to be the master, by its file, too; and the
// old master, which comes back as one, to grant nothing.
func (s *redisSet) checkPromoted() {
	t := s.t
	t.Helper()
	old := s.nodes[0]
	s.nodes = slices.DeleteFunc(s.nodes[1:], func(n *redisNode) bool {
		return !strings.Contains(n.ask("INFO", "replication"), "role:master")
	})
	if len(s.nodes) != 1 {
		t.Fatalf("%d masters", len(s.nodes))
	}
	file := filepath.Join(s.nodes[0].dir, "replica.conf")
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "\nreplicaof") {
		t.Errorf("replica.conf of the new master, %v:\n%s", err, text)
	}
	old.start()
	client := old.client("relogin")
	defer client.Close()
	err := client.Set(t.Context(), "relogin:test", "1", time.Minute).Err()
	if !redis.HasErrorPrefix(err, "NOREPLICAS") && !redis.HasErrorPrefix(err, "READONLY") {
		t.Errorf("the old master takes writes: %v", err)
	}
}
