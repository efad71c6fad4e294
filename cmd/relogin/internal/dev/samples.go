package dev

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// sample is a job that shows one way to end. The simulated phones do what the first word
// of the account says; lost-lily never answers, and her call breaks.
type sample struct {
	name  string // the job's id, without the run's prefix
	story string
	ends  job.Outcome
	job   job.Job // without id

	body  string // sent instead of the job; %q stands for the id
	after string // the sample that must have ended first
}

func samples(now time.Time) []sample {
	return []sample{
		{name: "succeeds", story: "the person confirms", ends: job.Succeeded, job: job.Job{WcID: "confirm-anna"}},
		{name: "asks-once", story: "three jobs for one account at once:", ends: job.Succeeded, job: job.Job{WcID: "confirm-hot"}},
		{name: "shares-1", story: "  the phone asks for one of them,", ends: job.Succeeded, job: job.Job{WcID: "confirm-hot"}},
		{name: "shares-2", story: "  and its one tap answers all three", ends: job.Succeeded, job: job.Job{WcID: "confirm-hot"}},
		{name: "is-declined", story: "the person says no", ends: job.Failed, job: job.Job{WcID: "decline-bo"}},
		{name: "is-throttled", story: "the same person, right after that no", ends: job.Throttled, job: job.Job{WcID: "decline-bo"}, after: "is-declined"},
		{name: "needs-a-scan", story: "only a QR scan helps", ends: job.NeedsScan, job: job.Job{WcID: "scan-chen"}},
		{name: "answer-was-lost", story: "a confirmation whose reply breaks off", ends: job.Succeeded, job: job.Job{WcID: "reset-dai"}},
		{name: "stays-unknown", story: "no answer, and the reply breaks off", ends: job.Unknown, job: job.Job{WcID: "lost-lily"}},
		{name: "wrong-credential", story: "the gateway refuses the tenant's credential", ends: job.Unauthorized,
			job: job.Job{WcID: "unauthorized-eve", Tenant: "expired", Deadline: now.Add(3 * time.Second)}},
		{name: "is-too-late", story: "its deadline has passed", ends: job.Expired, job: job.Job{WcID: "confirm-fang", Deadline: now.Add(-time.Minute)}},
		{name: "is-invalid", story: "its type is not a number", ends: job.Invalid, body: `{"id":%q,"wcId":"confirm-gao","type":"not a number"}`},
	}
}

// sample submits the samples, and shows events until each has its own.
func (d *dev) sample(ctx context.Context, nc *nats.Conn) error {
	d.gateway.Set("lost-lily", gatewaytest.Behaviour{Answer: gatewaytest.Ignore, Fault: gatewaytest.Reset})
	publisher, err := queue.NewPublisher(nc, "relogin")
	if err != nil {
		return err
	}
	run := fmt.Sprintf("%d-", time.Now().Unix()) // a queue that was kept knows the last run's ids
	all := samples(time.Now())
	d.announce(all)
	for i := range d.Settings.Jobs {
		all = append(all, sample{name: fmt.Sprintf("job-%d", i+1), job: job.Job{WcID: fmt.Sprintf("wxid_%d", i/3+1)}})
	}
	slices.SortStableFunc(all, func(a, b sample) int { return strings.Compare(a.after, b.after) }) // who waits goes last
	var ids []string
	for _, s := range all {
		s.job.ID = run + s.name
		ids = append(ids, s.job.ID)
		if s.story != "" {
			d.staged[s.job.ID] = s
		}
		if s.after != "" {
			err = d.await(ctx, run+s.after)
		}
		if err == nil && s.body != "" {
			err = nc.Publish("relogin.jobs.normal", fmt.Appendf(nil, s.body, s.job.ID))
		} else if err == nil {
			_, err = publisher.Publish(ctx, &s.job, job.Normal)
		}
		if err != nil {
			return fmt.Errorf("sample %s: %w", s.name, err)
		}
	}
	if err := d.await(ctx, ids...); err != nil {
		return err
	}
	d.summarize()
	return nil
}
