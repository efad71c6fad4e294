//go:build linux

package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// redisServers are one server, or a master with two replicas and three sentinels.
type redisServers struct {
	t         testing.TB
	sentinel  bool
	servers   []*redisServer
	sentinels []string // their addresses
	watchers  []*servers.Process
}

type redisServer struct {
	*servers.Process
	addr, dir string
}

func startRedis(t testing.TB, p program, dir string, sentinel bool) *redisServers {
	r := &redisServers{t: t, sentinel: sentinel}
	count := 1
	if sentinel {
		count = 3
	}
	for i := range count {
		r.add(p, filepath.Join(dir, fmt.Sprint("redis", i)))
	}
	if sentinel {
		r.watch(p, dir)
	}
	return r
}

// add starts a server; all but the first are its replicas.
func (r *redisServers) add(p program, dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	addr := servers.FreeAddr(r.t)
	_, port, _ := net.SplitHostPort(addr)
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsave \"\"\nappendonly yes\nappendfsync everysec\n"+
		"repl-diskless-sync-delay 0\nenable-debug-command yes\n", port, dir)
	if r.sentinel {
		config += "min-replicas-to-write 1\nmin-replicas-max-lag 10\n"
	}
	if len(r.servers) > 0 {
		host, master, _ := net.SplitHostPort(r.servers[0].addr)
		config += fmt.Sprintf("replicaof %s %s\n", host, master)
	}
	file := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	s := &redisServer{&servers.Process{TB: r.t, Name: fmt.Sprint("redis-", len(r.servers)), Args: []string{p.redis, file}}, addr, dir}
	s.Start()
	r.servers = append(r.servers, s)
	if !servers.Poll(10*time.Second, s.up) {
		r.t.Fatalf("redis does not come up:\n%s", s.Log())
	}
}

// watch starts the sentinels, which fail over after a second: the tests wait for it.
func (r *redisServers) watch(p program, dir string) {
	host, port, _ := net.SplitHostPort(r.servers[0].addr)
	for i := range 3 {
		addr := servers.FreeAddr(r.t)
		_, own, _ := net.SplitHostPort(addr)
		file := filepath.Join(dir, fmt.Sprintf("sentinel%d.conf", i))
		config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor main %s %s 2\n"+
			"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 4000\n", own, dir, host, port)
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			r.t.Fatal(err)
		}
		s := &servers.Process{TB: r.t, Name: fmt.Sprint("sentinel-", i), Args: []string{p.redis, file, "--sentinel"}}
		s.Start()
		r.sentinels, r.watchers = append(r.sentinels, addr), append(r.watchers, s)
	}
	if !servers.Poll(20*time.Second, r.steady) {
		r.t.Fatal("the sentinels do not find each other and the replicas")
	}
}

// steady tells whether there is a master that has both its replicas, and that the
// sentinels agree on.
func (r *redisServers) steady() bool {
	master := r.master()
	if master == nil || !strings.Contains(master.info("replication"), "connected_slaves:2") {
		return false
	}
	for _, addr := range r.sentinels {
		info := ask(addr, "INFO", "sentinel")
		if !strings.Contains(info, "status=ok,address="+master.addr+",slaves=2,sentinels=3") {
			return false
		}
	}
	return true
}

// master returns the server that the sentinels name, the only one where there are none;
// nil while they don't answer.
func (r *redisServers) master() *redisServer {
	if !r.sentinel {
		return r.servers[0]
	}
	for _, addr := range r.sentinels {
		for _, s := range r.servers {
			if strings.Contains(ask(addr, "INFO", "sentinel"), "address="+s.addr+",") && s.up() {
				return s
			}
		}
	}
	return nil
}

func (r *redisServers) processes() []*servers.Process {
	all := slices.Clone(r.watchers)
	for _, s := range r.servers {
		all = append(all, s.Process)
	}
	return all
}

func (s *redisServer) up() bool { return ask(s.addr, "PING") == "PONG" }

func (s *redisServer) info(section string) string { return ask(s.addr, "INFO", section) }

// ask sends one command, and returns the reply as text, "" where there is none.
func ask(addr string, command ...any) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	client := redisClient(addr)
	defer client.Close()
	reply, err := client.Do(ctx, command...).Result()
	if err != nil {
		return ""
	}
	return fmt.Sprint(reply)
}
