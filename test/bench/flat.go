package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// measureFlat works through a large backlog for as many accounts, and compares what a job
// takes at its start and at its end, and with a small backlog and few accounts.
func measureFlat(ctx context.Context, l *lab) error {
	sample := l.backlog / 50
	few := l.backlog / 100
	small, err := l.again(ctx, few, l.rounds+2)
	if err != nil {
		return err
	}
	large, err := l.steps(ctx, l.backlog, l.backlog, sample, sample/2, (l.backlog-sample)/2, l.backlog-sample)
	if err != nil {
		return err
	}
	after, err := l.again(ctx, few, l.rounds+2) // the machine's speed may have changed
	if err != nil {
		return err
	}
	small = append(small, after...)
	slices.SortFunc(small, func(a, b step) int { return cmp.Compare(a.worker, b.worker) })
	base := small[len(small)/2]
	t := table{head: []string{"backlog", "accounts seen", "worker's CPU a job, µs", "ratio", "NATS, µs", "Redis, µs", "gateway, µs", "worker resident, MiB"}}
	row := func(s step) {
		t.add(fmt.Sprint(s.backlog), fmt.Sprint(s.accounts), micros(s.worker), fmt.Sprintf("%.2f", float64(s.worker)/float64(base.worker)),
			micros(s.nats), micros(s.redis), micros(s.gateway), fmt.Sprint(s.resident>>20))
	}
	row(base)
	for _, s := range large {
		row(s)
	}
	l.tables.add("flat", t)
	fmt.Print(t.text())
	return nil
}

// sizes are what the streams take of NATS.
type sizes struct {
	messages, bytes int64 // on disk
	resident        int64 // of the whole server
}

func (c *contest) sizes(ctx context.Context, stream string) (sizes, error) {
	s, err := c.js.Stream(ctx, c.stream(stream))
	if err != nil {
		return sizes{}, err
	}
	state := s.CachedInfo().State
	resident, _ := c.natsServer.memory()
	return sizes{int64(state.Msgs), int64(state.Bytes), resident}, nil
}

func (l *lab) reportSizes(jobs, events sizes) {
	t := table{head: []string{"stream", "messages", "bytes each, on disk", "nats-server resident, MiB"}}
	for name, s := range map[string]sizes{"jobs, before the worker starts": jobs, "events, once all have ended": events} {
		t.add(name, fmt.Sprint(s.messages), fmt.Sprint(s.bytes/max(s.messages, 1)), fmt.Sprint(s.resident>>20))
	}
	slices.SortFunc(t.rows, func(a, b []string) int { return cmp.Compare(b[0], a[0]) })
	l.tables.add("sizes", t)
	fmt.Print(t.text())
}

// step is a stretch of the way through a backlog.
type step struct {
	pace
	backlog, accounts int // at its start
	resident          int64
}

// again fills a queue with n jobs and works through it, several times with one worker, and
// measures each time but the first two, in which that grows to its usual size.
func (l *lab) again(ctx context.Context, n, times int) ([]step, error) {
	c, err := l.prepare(ctx, "relogin", l.atOnceFlags()...)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	p, err := c.launch()
	if err != nil {
		return nil, err
	}
	var steps []step
	for round := range times {
		if err := p.pause(); err != nil {
			return nil, err
		}
		if err := c.enqueueFrom(ctx, round*n, n, func(i int) string { return distinct(i % (n / 10)) }); err != nil {
			return nil, err
		}
		if err := p.resume(); err != nil {
			return nil, err
		}
		pace, err := c.span(ctx, round*n+n/10, (round+1)*n)
		if err != nil {
			return nil, err
		}
		now, _ := p.memory()
		if round >= 2 {
			steps = append(steps, step{pace: pace, backlog: n, accounts: n / 10, resident: now})
			fmt.Printf("backlog %7d, accounts seen %7d: worker %s µs/job, %.0f jobs/s, %d MiB\n", n, n/10, micros(pace.worker), pace.perSecond, now>>20)
		}
	}
	return steps, nil
}

// steps works through n jobs of that many accounts, and measures stretches that begin
// there.
func (l *lab) steps(ctx context.Context, n, accounts, sample int, at ...int) ([]step, error) {
	c, err := l.prepare(ctx, "relogin", l.atOnceFlags()...)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := c.enqueue(ctx, n, func(i int) string { return distinct(i % accounts) }); err != nil {
		return nil, err
	}
	jobs, err := c.sizes(ctx, "JOBS")
	if err != nil {
		return nil, err
	}
	p, err := c.launch()
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, from := range at {
		pace, err := c.span(ctx, from, from+sample)
		if err != nil {
			return nil, err
		}
		now, _ := p.memory()
		s := step{pace: pace, backlog: n - from, accounts: min(from, accounts), resident: now}
		steps = append(steps, s)
		fmt.Printf("backlog %7d, accounts seen %7d: worker %s µs/job, %.0f jobs/s, %d MiB\n", s.backlog, s.accounts, micros(s.worker), s.perSecond, now>>20)
	}
	events, err := c.sizes(ctx, "EVENTS")
	l.reportSizes(jobs, events)
	return steps, err
}
