package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// liveRate is how many jobs come a second: as many in all as a tenth of a backlog's.
const liveRate = 200

// measureLatency publishes jobs at a steady rate to a contestant that waits for them. The
// gateway answers at once, so what is between the job's and the event's time in NATS is
// all added, the call's own round trip included.
func measureLatency(ctx context.Context, l *lab) error {
	names := []string{"floor", "redislock", "relogin"}
	took := map[string][][]time.Duration{}
	for round := range l.rounds {
		for i := range names {
			name := names[(i+round)%len(names)]
			sorted, err := l.live(ctx, name)
			if err != nil {
				return err
			}
			took[name] = append(took[name], sorted)
			fmt.Printf("round %d  %-10s p50 %s ms, p99 %s ms\n", round+1, name, millis(percentile(sorted, .5)), millis(percentile(sorted, .99)))
		}
	}
	t := table{head: []string{"added, ms", "p50", "p90", "p99", "most"}}
	for _, name := range names {
		of := func(p float64) string {
			return millis(median(column(took[name], func(s []time.Duration) time.Duration { return percentile(s, p) })))
		}
		t.add(name, of(.5), of(.9), of(.99), of(1))
	}
	l.tables.add("latency", t)
	fmt.Print(t.text())
	return nil
}

// live returns what each job's event came after its job, sorted.
func (l *lab) live(ctx context.Context, name string) ([]time.Duration, error) {
	c, err := l.prepare(ctx, name, l.atOnceFlags()...)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if _, err := c.launch(); err != nil {
		return nil, err
	}
	if err := c.warmUp(ctx); err != nil {
		return nil, err
	}
	n := l.jobs / 10
	tick := time.NewTicker(time.Second / liveRate)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		if _, err := c.js.PublishMsgAsync(c.message(job{fmt.Sprintf("live-%d", i), distinct(i)})); err != nil {
			return nil, err
		}
	}
	if err := c.await(ctx, n+warmJobs); err != nil {
		return nil, err
	}
	return c.waits(ctx)
}

const warmJobs = 200

// warmUp runs a few jobs, so that connections stand and code is loaded.
func (c *contest) warmUp(ctx context.Context) error {
	if err := c.enqueue(ctx, warmJobs, func(i int) string { return fmt.Sprintf("warm_%d", i) }); err != nil {
		return err
	}
	return c.await(ctx, warmJobs)
}

// waits compares the times of NATS alone: requestedAt is when the job was stored.
func (c *contest) waits(ctx context.Context) ([]time.Duration, error) {
	events, err := c.all(ctx)
	if err != nil {
		return nil, err
	}
	var waits []time.Duration
	for _, e := range events {
		if strings.HasPrefix(e.JobID, "live-") {
			waits = append(waits, e.at.Sub(e.RequestedAt))
		}
	}
	slices.Sort(waits)
	return waits, nil
}
