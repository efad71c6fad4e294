package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// StartRedisCluster starts a Cluster of three masters, with a third of the slots each, and
// returns their addresses. The options are redis-server's. It needs a redis-server on the PATH, and skips the test without.
func StartRedisCluster(tb testing.TB, args ...string) []string {
	tb.Helper()
	SkipIfShort(tb, "it starts a cluster")
	NeedRedisServer(tb)
	var addrs []string
	for i := range 3 {
		node := StartRedis(tb, slices.Concat([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, args)...)
		addrs = append(addrs, node.Addr)
		first, last := i*16384/3, (i+1)*16384/3-1
		Ask(tb, node.Addr, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
	}
	started := time.Now()
	var met time.Time
	for ; ; time.Sleep(20 * time.Millisecond) {
		var problem string
		again := time.Since(met) > time.Second // an introduction that takes a node longer than its time-out is forgotten
		for i, addr := range addrs {
			info := Ask(tb, addr, "CLUSTER", "INFO")
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") {
				problem = info
			}
			if !strings.Contains(info, "cluster_known_nodes:3") {
				problem = info
				if again {
					met = time.Now()
					host, port, _ := net.SplitHostPort(addrs[(i+1)%len(addrs)])
					Ask(tb, addr, "CLUSTER", "MEET", host, port)
				}
			}
		}
		if problem == "" {
			return addrs
		}
		if time.Since(started) > startTimeout {
			tb.Fatalf("the cluster does not come up:\n%s", problem)
		}
	}
}

// RedisSentinel is a master with two replicas, and three sentinels that watch it as the
// master named main. Two of them fail over to a replica when it is down for a second.
type RedisSentinel struct {
	Servers   []*RedisServer // the first is the master until a failover
	Sentinels []*RedisServer
}

// StartRedisSentinel starts servers with redis-server's options, and sentinels, and blocks
// until they know each other. It needs a redis-server on the PATH, and skips the test without.
func StartRedisSentinel(tb testing.TB, args ...string) *RedisSentinel {
	tb.Helper()
	SkipIfShort(tb, "it starts servers and sentinels")
	NeedRedisServer(tb)
	start := func(config string, args ...string) *RedisServer {
		file := filepath.Join(tb.TempDir(), "redis.conf") // which a failover rewrites
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			tb.Fatal(err)
		}
		return StartRedis(tb, slices.Concat([]string{file, "--repl-diskless-sync-delay", "0"}, args)...)
	}
	master := start("", args...)
	host, port, _ := net.SplitHostPort(master.Addr)
	s := &RedisSentinel{Servers: []*RedisServer{master}}
	for range 2 {
		s.Servers = append(s.Servers, start(fmt.Sprintf("replicaof %s %s\n", host, port), args...))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, start(fmt.Sprintf("sentinel monitor main %s %s 2\n"+
			"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 4000\n", host, port), "--sentinel"))
	}
	Eventually(tb, "sentinels that know each other and the replicas", s.Steady)
	return s
}

// URL returns redis:// and the sentinels' addresses.
func (s *RedisSentinel) URL() string {
	var addrs []string
	for _, sentinel := range s.Sentinels {
		addrs = append(addrs, sentinel.Addr)
	}
	return "redis://" + strings.Join(addrs, ",")
}

// Steady tells whether there is a master that has both its replicas, and that the
// sentinels agree on.
func (s *RedisSentinel) Steady() bool {
	master := s.Master()
	if master == nil || !strings.Contains(TryAsk(master.Addr, "INFO", "replication"), "connected_slaves:2") {
		return false
	}
	return !slices.ContainsFunc(s.Sentinels, func(sentinel *RedisServer) bool {
		return !strings.Contains(TryAsk(sentinel.Addr, "INFO", "sentinel"), "status=ok,address="+master.Addr+",slaves=2,sentinels=3")
	})
}

// Master returns the server that a sentinel names and that answers, nil while there is none.
func (s *RedisSentinel) Master() *RedisServer {
	for _, sentinel := range s.Sentinels {
		named := TryAsk(sentinel.Addr, "INFO", "sentinel")
		for _, server := range s.Servers {
			if strings.Contains(named, "address="+server.Addr+",") && TryAsk(server.Addr, "PING") == "PONG" {
				return server
			}
		}
	}
	return nil
}

// NeedRedisServer skips the test where no redis-server is on the PATH.
func NeedRedisServer(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		Skip(tb, "needs several servers: %v", err)
	}
}
