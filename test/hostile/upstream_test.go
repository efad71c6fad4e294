//go:build linux

package hostile

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// upstreamCases are about which jobs upstream sends.
func upstreamCases() []hostileCase {
	return []hostileCase{
		{
			name: "busy-account", what: "3,000 jobs of one account wait 65 s for one tap.", alone: true,
			setting: setting{confirmTimeout: 100 * time.Second, patience: 2 * time.Minute},
			run: func(a *attack) {
				a.crowd(a.account(0), scaled(3000), succeeds)
				a.settled()
				a.pause(during(65 * time.Second))
				a.tap(a.account(0))
			},
		},
		{
			name: "killed-pod", what: "A pod is killed with 4,000 jobs of one account in its hands.", alone: true, short: true,
			setting: setting{confirmTimeout: 20 * time.Second, patience: 2 * time.Minute},
			run: func(a *attack) {
				a.crowd(a.account(0), scaled(4000), succeeds)
				a.settled()
				a.pause(time.Second)
				a.addPod()
				a.quietly(a.world.pods[0].Kill)
				a.pause(2 * time.Second)
				a.tap(a.account(0))
			},
		},
		{
			name: "long-backlog", what: "100,000 jobs of one account are sent at once.", alone: true,
			setting: setting{lane: job.Urgent, patience: 4 * time.Minute},
			run: func(a *attack) {
				for range scaled(100_000) {
					a.send(a.job(a.account(0)), succeeds)
				}
			},
		},
		{
			name: "woken-waiters", what: "30,000 jobs of one account wait in a pod, and are woken at once.", alone: true,
			setting: setting{concurrency: 2048, confirmTimeout: 60 * time.Second, lane: job.Urgent, patience: 2 * time.Minute},
			run: func(a *attack) {
				a.crowd(a.account(0), scaled(30_000), succeeds)
				a.settled()
				a.pause(during(20 * time.Second))
				a.tap(a.account(0))
			},
		},
		{
			name: "one-id", what: "2,000 accounts' jobs all have the same id.",
			run: func(a *attack) {
				a.flood(scaled(2000), func(i int) {
					job := a.job(a.account(i))
					job.ID = "the-same"
					a.send(job, succeeds)
				})
			},
		},
		{
			name: "duplicates", what: "One job is sent 5,000 times.",
			run: func(a *attack) {
				job, e := a.job(a.account(0)), succeeds
				a.flood(scaled(5000), func(int) {
					a.send(job, e)
					e = repeats
				})
			},
		},
		{
			name: "two-tenants", what: "Two tenants send jobs for one account by turns.",
			run: func(a *attack) {
				a.floodAt(50, scaled(500), func(i int) {
					job := a.job(a.account(0))
					job.Tenant = []string{a.tenant, a.tenantHere}[i%2]
					a.send(job, succeeds)
				})
			},
		},
		{
			name: "mended", what: "Jobs that ended as invalid are mended, and sent again under their ids.", short: true,
			run: func(a *attack) {
				var jobs []*job.Job
				for i := range scaled(200) {
					job := a.job(a.account(i))
					job.Labels = map[string]string{"note": strings.Repeat("x", 300)}
					a.send(job, isInvalid)
					jobs = append(jobs, job)
				}
				a.settled()
				a.pause(3 * time.Second)
				for _, job := range jobs {
					job.Labels = nil
					a.send(job, succeeds)
				}
			},
		},
		{
			name: "made-anew", what: "The jobs stream is made anew, and jobs without ids get the ids of earlier ones.", alone: true,
			setting: setting{stopsAll: "there is no queue meanwhile"},
			run: func(a *attack) {
				send := func() {
					for i := range scaled(200) {
						body := fmt.Sprintf(`{"wcId":%q}`, a.account(i))
						a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: []byte(body)}, a.account(i), "", succeeds)
					}
					a.settled()
				}
				a.quietly(func() {
					a.remakeJobs()
					send()
					a.drain(30*time.Second, 0)
					a.remakeJobs()
					send()
				})
			},
		},
	}
}

// remakeJobs deletes the jobs stream, and has relogin make it anew.
func (a *attack) remakeJobs() {
	if err := a.js.DeleteStream(a.ctx, jobsStream); err != nil {
		a.fails("%v", err)
	}
	a.relogin(0, "setup")
}

// relogin runs one of the binary's commands, and expects its status.
func (a *attack) relogin(status int, args ...string) (output string) {
	p := &servers.Process{TB: a.t, Name: "relogin", Args: append([]string{a.p.relogin}, args...), Env: []string{
		"RELOGIN_NATS_URL=nats://other:other@" + a.nats.Addr, "RELOGIN_NAMESPACE=" + namespace,
		"RELOGIN_REDIS_URL=" + a.redisURL(), "RELOGIN_GATEWAY_URL=" + a.here.url, "RELOGIN_LOG_FORMAT=text"}}
	p.Start()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		p.Kill()
	}
	if got := p.ExitCode(); got != status {
		a.fails("relogin %v: status %d, not %d:\n%s", args, got, status, p.Log())
	}
	return p.Log()
}
