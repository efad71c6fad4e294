//go:build linux

package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// floodCases are about many jobs that come to nothing, or are large, or cut the line.
func floodCases() []hostileCase {
	return []hostileCase{
		{
			name: "garbage", what: "10,000 messages are no jobs.", short: true,
			run: func(a *attack) {
				a.flood(scaled(10_000), func(i int) {
					body := fmt.Appendf([]byte("\xc1garbage "), "%d", i)
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: body}, "", "", unreadable)
				})
			},
		},
		{
			name: "unknown-tenants", what: "3,000 jobs are of tenants that nobody has heard of.",
			run: func(a *attack) {
				a.flood(scaled(3000), func(i int) {
					job := a.job(a.account(i))
					job.Tenant = fmt.Sprint("nobody-", i)
					a.send(job, isInvalid)
				})
			},
		},
		{
			name: "expired", what: "5,000 jobs come after their deadline.",
			run: func(a *attack) {
				a.flood(scaled(5000), func(i int) {
					job := a.job(a.account(i))
					job.Deadline = time.Now().Add(-time.Hour)
					a.send(job, expires)
				})
			},
		},
		{
			name: "near-deadlines", what: "1,000 jobs have deadlines within a few seconds, and nobody answers.",
			run: func(a *attack) {
				a.floodAt(200, scaled(1000), func(i int) {
					j := a.job(a.account(i % 20))
					a.gateway.Set(j.WcID, gatewaytest.Behaviour{Answer: gatewaytest.Ignore})
					j.Deadline = time.Now().Add(time.Duration(i%40) * 100 * time.Millisecond)
					a.send(j, endsAs(job.Expired, job.Failed, job.Throttled))
				})
			},
		},
		{
			name: "large-jobs", what: "2,000 jobs have 64 KiB each, and 16 labels.",
			run: func(a *attack) {
				a.floodAt(150, scaled(2000), func(i int) {
					j := a.job(a.account(i))
					body := largest(j)
					a.post(&nats.Msg{Subject: jobSubject(job.Normal), Data: body}, j.WcID, j.ID, succeeds)
				})
			},
		},
		{
			name: "urgent-flood", what: "4,000 urgent jobs come at once beside normal ones.", alone: true,
			setting: setting{lane: job.Normal},
			run: func(a *attack) {
				for i := range scaled(4000) {
					a.sendOn(job.Urgent, a.job(a.account(i)), succeeds)
				}
			},
		},
		{
			name: "normal-flood", what: "10,000 normal jobs come at once beside urgent ones.", alone: true,
			setting: setting{lane: job.Urgent},
			run: func(a *attack) {
				for i := range scaled(10_000) {
					a.send(a.job(a.account(i)), succeeds)
				}
			},
		},
	}
}

// largest returns a job of 64 KiB, with as many labels as are allowed and a key that is
// ignored.
func largest(j *job.Job) []byte {
	labels := map[string]string{}
	for i := range 16 {
		labels[fmt.Sprintf("%064d", i)] = strings.Repeat("v", 256)
	}
	text, err := json.Marshal(map[string]any{"wcId": j.WcID, "id": j.ID, "aid": j.AID, "labels": labels, "padding": ""})
	if err != nil {
		panic(err)
	}
	room := bytes.Repeat([]byte("p"), job.MaxJobBytes-len(text))
	return bytes.Replace(text, []byte(`"padding":"`), append([]byte(`"padding":"`), room...), 1)
}

// personCases are about those who hold the phones.
func personCases() []hostileCase {
	return []hostileCase{
		{
			name: "declining", what: "People decline, and upstream asks again and again.",
			run: func(a *attack) {
				a.floodAt(100, scaled(1500), func(i int) {
					j := a.job(a.account(i % 20))
					a.gateway.Set(j.WcID, gatewaytest.Behaviour{Answer: gatewaytest.Decline})
					a.send(j, endsAs(job.Failed, job.Throttled))
				})
			},
		},
		{
			name: "nobody-answers", what: "150 phones ask for as long as a prompt lives, and nobody answers.",
			run: func(a *attack) {
				for i := range 150 {
					a.gateway.Set(a.account(i), gatewaytest.Behaviour{Answer: gatewaytest.Ignore})
					a.send(a.job(a.account(i)), endsAs(job.Failed, job.Unknown))
				}
			},
		},
		{
			name: "late-taps", what: "People confirm at the last moment, while their jobs are sent again and again.",
			run: func(a *attack) {
				a.floodAt(100, scaled(1000), func(i int) {
					job := a.job(a.account(i % 30))
					a.gateway.Set(job.WcID, gatewaytest.Behaviour{After: a.confirm() - 500*time.Millisecond})
					a.send(job, succeeds)
				})
			},
		},
	}
}
