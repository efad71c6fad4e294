package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// samples are jobs that end in each of the outcomes. The simulated phones do what the
// first word of the account says; lost-lily never answers, and her call breaks.
func samples(now time.Time) []*worker.Job {
	return []*worker.Job{
		{ID: "succeeds", WcID: "confirm-anna"},
		{ID: "asks-once", WcID: "confirm-hot"},
		{ID: "shares-1", WcID: "confirm-hot"},
		{ID: "shares-2", WcID: "confirm-hot"},
		{ID: "is-declined", WcID: "decline-bo"},
		{ID: "needs-a-scan", WcID: "scan-chen"},
		{ID: "answer-was-lost", WcID: "reset-dai"},
		{ID: "stays-unknown", WcID: "lost-lily"},
		{ID: "wrong-credential", WcID: "unauthorized-eve", Tenant: "expired", Deadline: now.Add(3 * time.Second)},
		{ID: "is-too-late", WcID: "confirm-fang", Deadline: now.Add(-time.Minute)},
	}
}

// sample submits the samples, and waits for their events.
func (d *dev) sample(ctx context.Context, p *pod) error {
	d.servers.gateway.Set("lost-lily", gatewaytest.Behaviour{Answer: gatewaytest.Ignore, Fault: gatewaytest.Reset})
	publisher, err := queue.NewPublisher(p.nats, "relogin")
	if err != nil {
		return err
	}
	run := fmt.Sprintf("%d-", time.Now().Unix()) // a queue that was kept knows the last run's ids
	jobs := samples(time.Now())
	for i := range d.s.Jobs {
		jobs = append(jobs, &worker.Job{ID: fmt.Sprintf("job-%d", i+1), WcID: fmt.Sprintf("wxid_%d", i/3+1)})
	}
	var ids []string
	for _, j := range jobs {
		j.ID = run + j.ID
		ids = append(ids, j.ID)
	}
	var failed error
	err = publisher.PublishAll(ctx, worker.Normal, slices.Values(jobs), func(_ *worker.Job, _ queue.Stored, err error) {
		if err != nil {
			failed = err
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	invalid := run + "is-invalid"
	body := fmt.Sprintf(`{"id":%q,"wcId":"confirm-gao","type":"not a number"}`, invalid)
	if err := p.nats.Publish("relogin.jobs.normal", []byte(body)); err != nil {
		return fmt.Errorf("publish the invalid sample: %w", err)
	}
	// The person said no: before the cool-down is over nobody is asked again.
	if err := d.await(ctx, run+"is-declined"); err != nil {
		return err
	}
	throttled := &worker.Job{ID: run + "is-throttled", WcID: "decline-bo"}
	if _, err := publisher.Publish(ctx, throttled, worker.Urgent); err != nil {
		return err
	}
	if err := d.await(ctx, append(ids, invalid, throttled.ID)...); err != nil {
		return err
	}
	d.summarize()
	return nil
}

func (d *dev) summarize() {
	counts := map[worker.Outcome]int{}
	shared := 0
	d.mu.Lock()
	for _, e := range d.ended {
		counts[e.Outcome]++
		if e.SharedWith != "" {
			shared++
		}
	}
	jobs := len(d.ended)
	d.mu.Unlock()
	fmt.Fprintf(d.stdout, "\n%d jobs, %d events:", jobs, jobs)
	for _, outcome := range worker.Outcomes() {
		fmt.Fprintf(d.stdout, " %d %s", counts[outcome], outcome)
	}
	stats := d.servers.gateway.Stats()
	fmt.Fprintf(d.stdout, "\n%d jobs shared another's tap. The phones were asked %d times, at most %d at once for one account.\n",
		shared, stats.Prompts, stats.MaxOpenPerAccount)
}
