package main

import (
	"context"
	"fmt"
	"strings"
)

var allContestants = []string{"floor", "redislock", "pipelined", "watermill", "asynq", "relogin"}

// measureThroughput runs every contestant on the same backlog with a gateway that answers
// at once, in turn, and in another order each round.
func measureThroughput(ctx context.Context, l *lab) error {
	names := strings.Split(l.contestants, ",")
	paces := map[string][]pace{}
	for round := range l.rounds {
		for i := range names {
			name := names[(i+round)%len(names)]
			p, err := l.race(ctx, name, l.jobs)
			if err != nil {
				return err
			}
			paces[name] = append(paces[name], p)
			fmt.Printf("round %d  %-10s %7.0f jobs/s  worker %s µs/job, nats %s, redis %s, gateway %s  peak %d MiB\n", round+1, name,
				p.perSecond, micros(p.worker), micros(p.nats), micros(p.redis), micros(p.gateway), p.peak>>20)
		}
	}
	return l.reportThroughput(names, paces)
}

// race lets one contestant empty a queue of n jobs for as many accounts.
func (l *lab) race(ctx context.Context, name string, n int) (pace, error) {
	c, err := l.prepare(ctx, name, l.atOnceFlags()...)
	if err != nil {
		return pace{}, err
	}
	defer c.stop()
	if err := c.enqueue(ctx, n, distinct); err != nil {
		return pace{}, err
	}
	if _, err := c.launch(); err != nil {
		return pace{}, err
	}
	p, err := c.span(ctx, n/10, n)
	if err != nil {
		err = fmt.Errorf("%w; logs are in %s", err, l.keepLogs())
	}
	return p, err
}

// atOnceFlags make relogin hold as many confirmations as the others.
func (*lab) atOnceFlags() []string { return concurrency(atOnce) }

// concurrency returns the setting with which n normal jobs are worked on at once: an
// eighth of the places is the urgent ones'.
func concurrency(n int) []string { return []string{"--concurrency", fmt.Sprint(n*8/7 + 1)} }

func (l *lab) reportThroughput(names []string, paces map[string][]pace) error {
	speed := func(name string) float64 { return median(column(paces[name], pace.speed)) }
	worker := func(name string) float64 { return median(column(paces[name], pace.work)) }
	t := table{head: []string{"", "jobs/s", "× floor", "worker's CPU a job, µs", "× floor", "NATS, µs", "Redis, µs", "gateway, µs", "peak, MiB"}}
	for _, name := range names {
		ps := paces[name]
		t.add(name, fmt.Sprintf("%.0f", speed(name)), ratio(paces[name], paces["floor"], pace.speed),
			fmt.Sprintf("%.1f", worker(name)/1e3), ratio(paces[name], paces["floor"], pace.work),
			fmt.Sprintf("%.1f", float64(median(column(ps, func(p pace) int64 { return int64(p.nats) })))/1e3),
			fmt.Sprintf("%.1f", float64(median(column(ps, func(p pace) int64 { return int64(p.redis) })))/1e3),
			fmt.Sprintf("%.1f", float64(median(column(ps, func(p pace) int64 { return int64(p.gateway) })))/1e3),
			fmt.Sprint(median(column(ps, func(p pace) int64 { return p.peak }))>>20))
	}
	l.tables.add("throughput", t)
	fmt.Print(t.text())
	speeds := panel{title: "jobs a second, 512 at once"}
	work := panel{title: "worker's CPU a job, µs"}
	for _, name := range names {
		speeds.values = append(speeds.values, speed(name))
		work.values = append(work.values, worker(name)/1e3)
	}
	return l.draw("performance", names, []panel{speeds, work})
}
