//go:build linux

package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// operatorCases are about pods, their ports and their settings.
func operatorCases() []hostileCase {
	return []hostileCase{
		{
			name: "pods-stopped", what: "Pods are stopped and started again under load, one after the other.", alone: true,
			setting: setting{pods: 2},
			run: func(a *attack) {
				a.keepOn(during(20*time.Second), 500*time.Millisecond, func(i int) {
					pod := a.world.pods[i%2]
					for k := range 20 {
						a.send(a.job(a.account(20*i+k)), succeeds)
					}
					pod.Signal(syscall.SIGTERM)
					<-pod.Done()
					if status := pod.ExitCode(); status != 0 {
						a.fails("a pod that was stopped ended with status %d", status)
					}
					pod.up()
				})
			},
		},
		{
			name: "slow-loris", what: "500 callers of a pod's HTTP port send a byte a second.",
			run: func(a *attack) {
				addr := strings.TrimPrefix(a.world.pods[0].http, "http://")
				var running sync.WaitGroup
				for range scaled(500) {
					running.Go(func() { a.loris(addr, during(15*time.Second)) })
				}
				running.Wait()
				if !a.world.pods[0].ready() {
					a.fails("the pod is not ready after slow callers")
				}
			},
		},
		{
			name: "http-flood", what: "Eight callers ask a pod's HTTP port for its metrics and readiness without a pause.",
			run: func(a *attack) {
				var running sync.WaitGroup
				client := http.Client{Timeout: 5 * time.Second}
				for i := range 8 {
					running.Go(func() {
						a.keepOn(during(15*time.Second), 5*time.Millisecond, func(int) {
							resp, err := client.Get(a.world.pods[0].http + []string{"/metrics", "/readyz", "/livez", "/" + strings.Repeat("x", 4000)}[i%4])
							if err == nil {
								_, _ = io.Copy(io.Discard, resp.Body)
								_ = resp.Body.Close()
							}
						})
					})
				}
				running.Wait()
			},
		},
		{
			name: "other-case", what: "A pod of the namespace in upper case starts with --no-setup.", short: true, alone: true,
			run: func(a *attack) {
				text := a.relogin(1, "worker", "--no-setup", "--namespace", strings.ToUpper(namespace))
				if !strings.Contains(text, namespace) {
					a.fails("the refusal does not name the other namespace:\n%s", text)
				}
			},
		},
		{
			name: "consumer-paused", what: "The consumer of the normal lane is paused for 10 s.", alone: true, setting: setting{lane: job.Urgent},
			run: func(a *attack) {
				for i := range scaled(500) {
					a.send(a.job(a.account(i)), succeeds)
				}
				if _, err := a.js.PauseConsumer(a.ctx, jobsStream, "normal", time.Now().Add(during(10*time.Second))); err != nil {
					a.fails("%v", err)
				}
				for i := range scaled(500) {
					a.send(a.job(a.account(i)), succeeds)
				}
				a.settled()
				a.pause(during(10 * time.Second))
			},
		},
		{
			name: "consumer-deleted", what: "The consumer of the normal lane is deleted, and set up again 5 s later.", alone: true, setting: setting{lane: job.Urgent},
			run: func(a *attack) {
				a.flood(scaled(1000), func(i int) { a.send(a.job(a.account(i)), succeeds) })
				if err := a.js.DeleteConsumer(a.ctx, jobsStream, "normal"); err != nil {
					a.fails("%v", err)
				}
				a.flood(scaled(1000), func(i int) { a.send(a.job(a.account(10_000+i)), succeeds) })
				a.pause(during(5 * time.Second))
				a.relogin(0, "setup")
			},
		},
	}
}

// loris sends a request's header a byte a second, for so long.
func (a *attack) loris(addr string, length time.Duration) {
	for until := time.Now().Add(length); time.Now().Before(until); {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			a.pause(time.Second)
			continue
		}
		for _, b := range []byte("GET /readyz HTTP/1.1\r\nHost: pod\r\nX-Slow: " + strings.Repeat("x", 100)) {
			if _, err := conn.Write([]byte{b}); err != nil || time.Now().After(until) {
				break
			}
			a.pause(time.Second)
		}
		_ = conn.Close()
	}
}

// streamCases are about what an operator does to streams.
func streamCases() []hostileCase {
	return []hostileCase{
		{
			name: "small-messages", what: "The events stream takes no message over 3,000 bytes for a while; jobs' labels have more.", short: true, alone: true,
			setting: setting{concurrency: 64},
			run: func(a *attack) {
				restore := a.change(eventStream, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 3000 })
				for i := range 100 {
					j := a.job(a.account(i))
					j.Labels = map[string]string{}
					for k := range 16 {
						j.Labels[fmt.Sprint("label", k)] = strings.Repeat("v", 256)
					}
					a.send(j, ends{as: []job.Outcome{job.Succeeded}, orDead: true})
				}
				a.settled()
				a.pause(during(15 * time.Second))
				restore()
			},
		},
		{
			name: "event-denied", what: "NATS lets the pods publish no event of one account, for a while.", alone: true,
			setting: setting{concurrency: 64, denied: "at_event-denied_0", patience: 90 * time.Second},
			run: func(a *attack) {
				for range 100 {
					a.send(a.job(a.account(0)), succeeds)
				}
				a.settled()
				a.pause(during(20 * time.Second))
				a.nats.Reload(a.natsConfig(""))
			},
		},
		{
			name: "dead-stream-full", what: "The stream of dead letters is full for a while, and messages that are no jobs come.", alone: true,
			setting: setting{concurrency: 64, patience: 90 * time.Second},
			run: func(a *attack) {
				restore := a.change(deadStream, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 1, jetstream.DiscardNew })
				a.flood(max(200, scaled(1000)), func(i int) {
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: fmt.Appendf(nil, "\xc1%d", i)}, "", "", unreadable)
				})
				a.settled()
				a.pause(during(15 * time.Second))
				restore()
			},
		},
		{
			name: "purged-queue", what: "The normal lane is purged while 2,000 of its jobs wait.", alone: true, setting: setting{lane: job.Urgent, confirmTimeout: 20 * time.Second},
			run: func(a *attack) {
				maybe := ends{as: []job.Outcome{job.Succeeded}, optional: true}
				a.crowd(a.account(0), scaled(2000), maybe)
				for i := range scaled(2000) {
					a.send(a.job(a.account(1+i)), maybe)
				}
				a.settled()
				a.purge(jobsStream, jobSubject(job.Normal))
				a.pause(2 * time.Second)
				a.tap(a.account(0))
			},
		},
	}
}

// change edits a stream, and returns what restores it.
func (a *attack) change(name string, edit func(*jetstream.StreamConfig)) (restore func()) {
	stream, err := a.js.Stream(a.ctx, name)
	if err != nil {
		a.t.Fatal(err)
	}
	before := stream.CachedInfo().Config
	after := before
	edit(&after)
	set := func(c jetstream.StreamConfig) {
		if _, err := a.js.UpdateStream(a.ctx, c); err != nil {
			a.fails("%v", err)
		}
	}
	set(after)
	return func() { set(before) }
}

func (a *attack) purge(name, subject string) {
	stream, err := a.js.Stream(a.ctx, name)
	if err == nil {
		err = stream.Purge(a.ctx, jetstream.WithPurgeSubject(subject))
	}
	if err != nil {
		a.fails("%v", err)
	}
}
