package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
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
	for _, addr := range addrs[1:] {
		host, port, _ := net.SplitHostPort(addr)
		Ask(tb, addrs[0], "CLUSTER", "MEET", host, port)
	}
	for _, addr := range addrs {
		for until := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
			info := Ask(tb, addr, "CLUSTER", "INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") && strings.Contains(info, "cluster_known_nodes:3") {
				break
			}
			if time.Now().After(until) {
				tb.Fatalf("the cluster does not come up:\n%s", info)
			}
		}
	}
	return addrs
}

// StartRedisSentinel starts a sentinel that watches the server as the master named
// main, alone decides that it is down, after half a second, and fails over to one of
// its replicas. It needs a redis-server on the PATH, and skips the test without.
func StartRedisSentinel(tb testing.TB, master *RedisServer) *RedisServer {
	tb.Helper()
	SkipIfShort(tb, "it starts a sentinel")
	NeedRedisServer(tb)
	host, port, _ := net.SplitHostPort(master.Addr)
	config := tb.TempDir() + "/sentinel.conf"
	text := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 500\n"+
		"sentinel failover-timeout main 3000\n", host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return StartRedis(tb, config, "--sentinel")
}

// NeedRedisServer skips the test where no redis-server is on the PATH.
func NeedRedisServer(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		skip(tb, "needs several servers: %v", err)
	}
}
