package main

import (
	"context"
	"fmt"
)

// measurePods compares one worker with two on the same queue.
func measurePods(ctx context.Context, l *lab) error {
	var one, two, share []float64
	for range l.rounds {
		alone, _, err := l.team(ctx, 1)
		if err != nil {
			return err
		}
		both, least, err := l.team(ctx, 2)
		if err != nil {
			return err
		}
		one, two, share = append(one, alone), append(two, both), append(share, least)
		fmt.Printf("one pod %.0f jobs/s, two %.0f; the lesser one's share %.1f %%\n", alone, both, 100*least)
	}
	t := table{head: []string{"pods", "jobs/s", "ratio", "least share of the jobs"}}
	t.add("1", fmt.Sprintf("%.0f", median(one)), "1.00", "100 %")
	t.add("2", fmt.Sprintf("%.0f", median(two)), fmt.Sprintf("%.2f", median(two)/median(one)), fmt.Sprintf("%.1f %%", 100*median(share)))
	l.tables.add("pods", t)
	fmt.Print(t.text())
	return nil
}

// team runs that many pods, and returns their jobs a second, and the part of them that
// the one with the fewest has done once all were at work.
func (l *lab) team(ctx context.Context, pods int) (perSecond, least float64, err error) {
	c, err := l.prepare(ctx, "relogin", l.atOnceFlags()...)
	if err != nil {
		return 0, 0, err
	}
	defer c.stop()
	for range pods {
		if _, err := c.launch(); err != nil {
			return 0, 0, err
		}
	}
	if err := c.everyPodWorks(ctx, pods); err != nil {
		return 0, 0, err
	}
	before, _, err := c.events(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := c.enqueue(ctx, l.jobs, distinct); err != nil {
		return 0, 0, err
	}
	p, err := c.span(ctx, before+l.jobs/10, before+l.jobs)
	if err != nil {
		return 0, 0, err
	}
	events, err := c.all(ctx)
	if err != nil {
		return 0, 0, err
	}
	done := map[string]int{}
	for _, e := range events[before:] {
		done[e.Worker]++
	}
	least = 1
	for _, n := range done {
		least = min(least, float64(n)/float64(l.jobs))
	}
	if len(done) < pods {
		least = 0
	}
	return p.perSecond, least, nil
}

// everyPodWorks sends jobs until each pod has ended one.
func (c *contest) everyPodWorks(ctx context.Context, pods int) error {
	for sent := 0; ; {
		if err := c.enqueueFrom(ctx, sent, warmJobs, func(i int) string { return fmt.Sprintf("warm_%d", i) }); err != nil {
			return err
		}
		sent += warmJobs
		if err := c.await(ctx, sent); err != nil {
			return err
		}
		events, err := c.all(ctx)
		if err != nil {
			return err
		}
		at := map[string]bool{}
		for _, e := range events {
			at[e.Worker] = true
		}
		if len(at) == pods {
			return nil
		}
	}
}
