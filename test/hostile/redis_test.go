//go:build linux

package hostile

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// redisCases are about a single Redis server, and who else uses it.
func redisCases() []hostileCase {
	return []hostileCase{
		{
			name: "redis-sleeps", what: "Redis stands still for a second, again and again.", alone: true,
			run: func(a *attack) {
				client := a.stranger()
				a.keepOn(during(15*time.Second), 2*time.Second, func(i int) {
					a.send(a.job(a.account(i)), succeeds)
					client.Do(a.ctx, "DEBUG", "SLEEP", "1")
				})
			},
		},
		{
			name: "keys-storm", what: "Somebody else's 300,000 keys are searched with KEYS, by four clients.", alone: true,
			run: func(a *attack) {
				client := a.stranger()
				client.Do(a.ctx, "DEBUG", "POPULATE", scaled(300_000), "foreign", 10)
				var running sync.WaitGroup
				for range 4 {
					running.Go(func() {
						a.keepOn(during(15*time.Second), 20*time.Millisecond, func(int) { client.Do(a.ctx, "KEYS", "nothing-*-like-*-this") })
					})
				}
				running.Wait()
			},
		},
		{
			name: "slow-scripts", what: "Somebody else's script keeps Redis busy for 400 ms, twice a second.", alone: true,
			run: func(a *attack) {
				client := a.stranger()
				a.keepOn(during(15*time.Second), 600*time.Millisecond, func(i int) {
					a.send(a.job(a.account(i)), succeeds)
					client.Eval(a.ctx, busyScript, nil, 400)
				})
			},
		},
		{
			name: "maxclients", what: "Somebody else takes all the connections that Redis allows.", alone: true,
			run: func(a *attack) {
				servers.Ask(a.t, a.redis.Addr, "CONFIG", "SET", "maxclients", 100)
				var taken []net.Conn
				a.keepOn(during(15*time.Second), 20*time.Millisecond, func(i int) {
					if conn, err := net.DialTimeout("tcp", a.redis.Addr, time.Second); err == nil {
						taken = append(taken, conn)
					}
					if i%10 == 0 {
						a.send(a.job(a.account(i)), succeeds)
					}
				})
				for _, conn := range taken {
					_ = conn.Close()
				}
			},
		},
		{
			name: "clients-killed", what: "Redis drops all connections, again and again.", alone: true,
			run: func(a *attack) {
				client := a.stranger()
				a.keepOn(during(15*time.Second), time.Second, func(i int) {
					a.send(a.job(a.account(i)), succeeds)
					client.Do(a.ctx, "CLIENT", "KILL", "TYPE", "normal")
				})
			},
		},
		{
			name: "evicting", what: "Redis is reconfigured to evict keys, and back.", alone: true,
			setting: setting{stopsAll: "no lock can be trusted meanwhile", patience: 90 * time.Second},
			run:     (*attack).evict,
		},
		{
			name: "wiped", what: "Redis is flushed while pods with a confirm time-out of 20 s and of 3 s are at work.", alone: true,
			setting: setting{
				confirmTimeout: 20 * time.Second, env: []string{"RELOGIN_SEND_WINDOW=1s"},
				stopsAll: "Redis may have lost locks, of up to 20 s", patience: 90 * time.Second,
			},
			run: func(a *attack) {
				first := a.job(a.account(0))
				a.gateway.Set(first.WcID, gatewaytest.Behaviour{Manual: true})
				a.send(first, endsAs(job.Succeeded, job.Unknown))
				a.waitOpen(first.WcID)
				a.addPod("RELOGIN_CONFIRM_TIMEOUT=3s")
				servers.Ask(a.t, a.redis.Addr, "FLUSHALL")
				for range 5 {
					a.send(a.job(a.account(0)), endsAs(job.Succeeded, job.Unknown))
				}
				a.settled()
				a.pause(15 * time.Second)
				a.tap(first.WcID)
			},
		},
	}
}

const busyScript = `
local from = redis.call('TIME')
repeat
	local now = redis.call('TIME')
until (now[1] - from[1]) * 1000 + (now[2] - from[2]) / 1000 > tonumber(ARGV[1])
return 1`

// evict sees that no pod is ready, and none grants anything, while Redis may evict keys.
func (a *attack) evict() {
	pod := a.world.pods[0]
	a.quietly(func() { // what is in hand ends first
		servers.Ask(a.t, a.redis.Addr, "CONFIG", "SET", "maxmemory", "1gb", "maxmemory-policy", "allkeys-lru")
		if !servers.Poll(20*time.Second, func() bool { return !pod.ready() }) {
			a.fails("20 s after Redis was told to evict keys the pod is ready all the same")
		}
	})
	before := a.gateway.Stats().Prompts
	for i := range 20 {
		a.send(a.job(a.account(i)), succeeds)
	}
	a.settled()
	a.pause(3 * time.Second)
	if after := a.gateway.Stats().Prompts; after != before {
		a.fails("%d prompts while Redis may evict the locks", after-before)
	}
	servers.Ask(a.t, a.redis.Addr, "CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
	if !servers.Poll(60*time.Second, pod.ready) {
		a.fails("a minute after Redis was told to keep its keys the pod is not ready")
	}
}

// stranger returns a client of the single Redis server.
func (a *attack) stranger() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: a.redis.Addr, ReadTimeout: 10 * time.Second, MaxRetries: -1})
	a.t.Cleanup(func() { _ = client.Close() })
	if err := client.Ping(context.WithoutCancel(a.ctx)).Err(); err != nil {
		a.fails("%v", fmt.Errorf("reach redis: %w", err))
	}
	return client
}
