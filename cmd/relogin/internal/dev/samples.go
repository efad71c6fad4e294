package dev

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// sample is a job that shows one way to end. The simulated phones do what the first word
// of the account says; lost-lily never answers, and her call breaks.
type sample struct {
	name  string // the job's id, without the run's prefix
	story string
	ends  worker.Outcome
	job   worker.Job // without id

	body  string // sent instead of the job; %q stands for the id
	after string // the sample that must have ended first
}

func samples(now time.Time) []sample {
	return []sample{
		{name: "succeeds", story: "the person confirms", ends: worker.Succeeded, job: worker.Job{WcID: "confirm-anna"}},
		{name: "asks-once", story: "three jobs for one account at once:", ends: worker.Succeeded, job: worker.Job{WcID: "confirm-hot"}},
		{name: "shares-1", story: "  the phone asks for one of them,", ends: worker.Succeeded, job: worker.Job{WcID: "confirm-hot"}},
		{name: "shares-2", story: "  and its one tap answers all three", ends: worker.Succeeded, job: worker.Job{WcID: "confirm-hot"}},
		{name: "is-declined", story: "the person says no", ends: worker.Failed, job: worker.Job{WcID: "decline-bo"}},
		{name: "is-throttled", story: "the same person, right after that no", ends: worker.Throttled, job: worker.Job{WcID: "decline-bo"}, after: "is-declined"},
		{name: "needs-a-scan", story: "only a QR scan helps", ends: worker.NeedsScan, job: worker.Job{WcID: "scan-chen"}},
		{name: "answer-was-lost", story: "a confirmation whose reply breaks off", ends: worker.Succeeded, job: worker.Job{WcID: "reset-dai"}},
		{name: "stays-unknown", story: "no answer, and the reply breaks off", ends: worker.Unknown, job: worker.Job{WcID: "lost-lily"}},
		{name: "wrong-credential", story: "the gateway refuses the tenant's credential", ends: worker.Unauthorized,
			job: worker.Job{WcID: "unauthorized-eve", Tenant: "expired", Deadline: now.Add(3 * time.Second)}},
		{name: "is-too-late", story: "its deadline has passed", ends: worker.Expired, job: worker.Job{WcID: "confirm-fang", Deadline: now.Add(-time.Minute)}},
		{name: "is-invalid", story: "its type is not a number", ends: worker.Invalid, body: `{"id":%q,"wcId":"confirm-gao","type":"not a number"}`},
	}
}

// sample submits the samples, and waits for their events.
func (d *dev) sample(ctx context.Context, nc *nats.Conn) error {
	d.servers.gateway.Set("lost-lily", gatewaytest.Behaviour{Answer: gatewaytest.Ignore, Fault: gatewaytest.Reset})
	publisher, err := queue.NewPublisher(nc, "relogin")
	if err != nil {
		return err
	}
	run := fmt.Sprintf("%d-", time.Now().Unix()) // a queue that was kept knows the last run's ids
	all := samples(time.Now())
	d.announce(all)
	var ids []string
	var jobs []*worker.Job
	var late []sample
	d.mu.Lock()
	for _, s := range all {
		s.job.ID = run + s.name
		d.staged[s.job.ID] = s
		ids = append(ids, s.job.ID)
		if s.body != "" || s.after != "" {
			late = append(late, s)
		} else {
			jobs = append(jobs, &s.job)
		}
	}
	d.mu.Unlock()
	for i := range d.s.Jobs {
		jobs = append(jobs, &worker.Job{ID: fmt.Sprintf("%sjob-%d", run, i+1), WcID: fmt.Sprintf("wxid_%d", i/3+1)})
		ids = append(ids, jobs[len(jobs)-1].ID)
	}
	if err := publishAll(ctx, publisher, jobs); err != nil {
		return err
	}
	for _, s := range late {
		if err := d.sendLate(ctx, nc, publisher, run, s); err != nil {
			return err
		}
	}
	if err := d.await(ctx, ids...); err != nil {
		return err
	}
	d.summarize()
	return nil
}

// publishAll returns an error unless all jobs are stored.
func publishAll(ctx context.Context, p *queue.Publisher, jobs []*worker.Job) error {
	var failed error
	err := p.PublishAll(ctx, worker.Normal, slices.Values(jobs), func(_ *worker.Job, _ queue.Stored, err error) {
		if err != nil {
			failed = err
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// sendLate sends what is no proper job, or waits for another.
func (d *dev) sendLate(ctx context.Context, nc *nats.Conn, p *queue.Publisher, run string, s sample) error {
	if s.body != "" {
		if err := nc.Publish("relogin.jobs.normal", fmt.Appendf(nil, s.body, s.job.ID)); err != nil {
			return fmt.Errorf("publish sample %s: %w", s.name, err)
		}
		return nil
	}
	if err := d.await(ctx, run+s.after); err != nil {
		return err
	}
	_, err := p.Publish(ctx, &s.job, worker.Urgent)
	return err
}
