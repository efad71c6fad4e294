package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// sample is a job that shows one way to end. The simulated phones do what the first word
// of the account says; lost-lily never answers, and her call breaks.
type sample struct {
	name  string // the job's id, without the run's prefix
	story string // empty: it is one of many, and shown as any job
	ends  job.Outcome
	job   job.Job

	body  string // sent instead of the job; %q stands for the id
	after string // the sample that must have ended first
}

// samples returns those that have a story, and so many further ones. Their deadlines count from
// now on, and their ids begin with the time: a queue that was kept knows the last run's.
func samples(further int) []sample {
	now := time.Now()
	all := []sample{
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
	for i := range further {
		all = append(all, sample{name: fmt.Sprintf("job-%d", i+1), job: job.Job{WcID: fmt.Sprintf("wxid_%d", i/3+1)}})
	}
	for i := range all {
		all[i].job.ID = fmt.Sprintf("%d-%s", now.Unix(), all[i].name)
	}
	return all
}

// submitAfter submits the samples that the named one had to end before.
func (d *dev) submitAfter(ctx context.Context, name string) error {
	publisher, err := queue.NewPublisher(d.nats, "relogin")
	for _, s := range d.samples {
		switch {
		case err != nil || s.after != name:
		case s.body != "":
			err = d.nats.Publish("relogin.jobs.normal", fmt.Appendf(nil, s.body, s.job.ID))
		default:
			_, err = publisher.Publish(ctx, &s.job, job.Normal)
		}
		if err != nil {
			return fmt.Errorf("sample %s: %w", s.name, err)
		}
	}
	return nil
}
