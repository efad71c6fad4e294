//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// redisFaults happen to a single server.
func redisFaults() []fault {
	restarted := func(name string, empty bool) fault {
		return during(name, moment, 3*second, func(w *world) func() {
			w.restarting.Lock()
			if !empty { // else what was written while the disk synced would be lost
				servers.TryAsk(w.redis.Addr, "CONFIG", "SET", "appendfsync", "always")
			}
			w.redis.Kill()
			if empty {
				w.lost()
				_ = os.RemoveAll(filepath.Join(w.redisDir, "appendonlydir"))
			}
			return func() {
				defer w.restarting.Unlock()
				w.redis.Process.Start() // RedisServer's Start fails the test of one that is slow to load its data
				servers.Poll(20*second, func() bool { return servers.TryAsk(w.redis.Addr, "PING") == "PONG" })
			}
		})
	}
	command := func(name string, command ...any) fault {
		return once("Redis: "+name, func(w *world) { servers.TryAsk(w.redis.Addr, command...) })
	}
	return []fault{
		restarted("Redis: killed -9, restarted with its data", false),
		restarted("Redis: killed -9, restarted without its data", true),
		once("Redis: FLUSHALL", func(w *world) {
			servers.TryAsk(w.redis.Addr, "FLUSHALL")
			w.lost()
		}),
		during("Redis: FLUSHALL, seen first by the worker of the shorter lease", 5*second, 6*second, func(w *world) func() {
			answer := w.load.hold(gatewaytest.Behaviour{Answer: gatewaytest.Ignore})
			pause(w.t.Context(), second)
			each := func(s syscall.Signal) {
				for i, p := range w.workers {
					if !w.shorter(i) {
						p.Signal(s)
					}
				}
			}
			each(syscall.SIGSTOP)
			servers.TryAsk(w.redis.Addr, "FLUSHALL")
			w.lost()
			return func() { each(syscall.SIGCONT); answer() }
		}),
		command("SCRIPT FLUSH", "SCRIPT", "FLUSH"),
		command("every client killed", "CLIENT", "KILL", "TYPE", "normal"),
		during("Redis: SIGSTOP", moment, 5*second, func(w *world) func() {
			w.redis.Signal(syscall.SIGSTOP)
			return func() { w.redis.Signal(syscall.SIGCONT) }
		}),
		during("Redis: out of memory", moment, 3*second, func(w *world) func() {
			servers.TryAsk(w.redis.Addr, "CONFIG", "SET", "maxmemory", "1")
			return func() { servers.TryAsk(w.redis.Addr, "CONFIG", "SET", "maxmemory", "0") }
		}),
	}
}

// failoverFaults happen to a master with two replicas and three sentinels.
func failoverFaults() []fault {
	promoted := func(name string, inflict func(w *world, master *servers.RedisServer, replicas []*servers.RedisServer)) fault {
		return fault{name: name, inflict: func(w *world) (func(), bool) {
			w.restarting.Lock()
			defer w.restarting.Unlock()
			if !servers.Poll(60*second, w.sentinel.Steady) {
				return nil, false
			}
			master := w.sentinel.Master()
			var replicas []*servers.RedisServer
			for _, s := range w.sentinel.Servers {
				if s != master {
					replicas = append(replicas, s)
				}
			}
			inflict(w, master, replicas)
			w.lost()
			return nil, servers.Poll(60*second, w.sentinel.Steady) && w.sentinel.Master() != master
		}}
	}
	moved := func(w *world, from *servers.RedisServer) {
		servers.Poll(30*second, func() bool { now := w.sentinel.Master(); return now != nil && now != from })
	}
	return []fault{
		promoted("Redis: master killed -9, a replica promoted", func(w *world, master *servers.RedisServer, _ []*servers.RedisServer) {
			w.lost()
			master.Kill()
			moved(w, master)
			master.Process.Start()
		}),
		promoted("Redis: a replica promoted that lags", func(w *world, master *servers.RedisServer, replicas []*servers.RedisServer) {
			for _, r := range replicas {
				r.Signal(syscall.SIGSTOP)
			}
			pause(w.t.Context(), 2*second) // what is written meanwhile is lost
			w.lost()
			master.Kill()
			for _, r := range replicas {
				r.Signal(syscall.SIGCONT)
			}
			moved(w, master)
			master.Process.Start()
		}),
		promoted("Redis: a replica promoted while the master is paused", func(w *world, master *servers.RedisServer, _ []*servers.RedisServer) {
			w.lost()
			master.Signal(syscall.SIGSTOP)
			moved(w, master)
			master.Signal(syscall.SIGCONT) // it answers those who are still connected
		}),
		promoted("Redis: SENTINEL FAILOVER", func(w *world, master *servers.RedisServer, _ []*servers.RedisServer) {
			w.lost()
			servers.TryAsk(w.sentinel.Sentinels[0].Addr, "SENTINEL", "FAILOVER", "main")
			moved(w, master)
		}),
		{"Redis: both replicas SIGSTOP, writes refused", [2]time.Duration{11 * second, 13 * second}, func(w *world) (func(), bool) {
			w.restarting.Lock()
			if !servers.Poll(60*second, w.sentinel.Steady) {
				w.restarting.Unlock()
				return nil, false
			}
			master := w.sentinel.Master()
			each := func(s syscall.Signal) {
				for _, r := range w.sentinel.Servers {
					if r != master {
						r.Signal(s)
					}
				}
			}
			each(syscall.SIGSTOP)
			return func() { each(syscall.SIGCONT); w.restarting.Unlock() }, true
		}},
	}
}

func gatewayFaults() []fault {
	all := func(name string, b gatewaytest.Behaviour) fault {
		return during("gateway: "+name, second, 4*second, func(w *world) func() { return w.load.hold(b) })
	}
	down := func(name string, status int) fault {
		return during("gateway: "+name, second, 4*second, func(w *world) func() {
			w.gateway.SetDown(status)
			return func() { w.gateway.SetDown(0) }
		})
	}
	return []fault{
		all("hangs", gatewaytest.Behaviour{Fault: gatewaytest.Hang}),
		all("resets connections", gatewaytest.Behaviour{Fault: gatewaytest.Reset}),
		all("answers late", gatewaytest.Behaviour{After: confirmTimeout - second/10}),
		all("answers 500 after prompts", gatewaytest.Behaviour{Fault: gatewaytest.ServerError}),
		down("answers 500", 500),
		down("answers 503", 503),
	}
}
