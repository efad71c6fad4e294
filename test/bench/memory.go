package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// spareFiles are what a process may have open beside its confirmations.
const spareFiles = 500

// held is what holding n confirmations open took.
type held struct {
	idle, open, peak int64         // resident bytes: before, with all open, and at the most
	answered         time.Duration // from all answers until the last event was stored
	redis            int64         // bytes of Redis a confirmation, the keys' tables included
}

// measureMemory holds confirmations open, answers all of them at once, and looks at the
// worker's memory and at how long the last event takes.
func measureMemory(ctx context.Context, l *lab) error {
	counts, err := l.possible(l.open)
	if err != nil {
		return err
	}
	const usual = 10_000
	results := map[string]map[int][]held{}
	measure := func(row, name string, n int, hold time.Duration) error {
		h, err := l.holdOpen(ctx, name, n, hold)
		if err != nil {
			return err
		}
		if results[row] == nil {
			results[row] = map[int][]held{}
		}
		results[row][n] = append(results[row][n], h)
		fmt.Printf("%-18s %6d open: idle %d MiB, open %d MiB, peak %d MiB, answered in %s ms, Redis %d B each\n",
			row, n, h.idle>>20, h.open>>20, h.peak>>20, millis(h.answered), h.redis)
		return nil
	}
	for round := range min(l.rounds, 3) {
		for _, n := range counts {
			if err := measure("relogin", "relogin", n, 0); err != nil {
				return err
			}
			if n != usual {
				continue
			}
			if err := measure("floor", "floor", n, 0); err != nil {
				return err
			}
			if round > 0 {
				continue
			}
			// From a minute on relogin looks whether the event is there before it stores it.
			if err := measure("relogin, for 65 s", "relogin", n, 65*time.Second); err != nil {
				return err
			}
		}
	}
	t := table{head: []string{"", "open", "idle, MiB", "with all open, KiB each", "at the most, KiB each", "all answered at once: last event after, ms", "events a second then", "Redis, bytes each"}}
	for _, name := range []string{"relogin", "relogin, for 65 s", "floor"} {
		for _, n := range counts {
			hs := results[name][n]
			if len(hs) == 0 {
				continue
			}
			each := func(of func(held) int64) string {
				return fmt.Sprintf("%.1f", float64(median(column(hs, of)))/float64(n)/1024)
			}
			answered := median(column(hs, func(h held) time.Duration { return h.answered }))
			t.add(name, fmt.Sprint(n), fmt.Sprint(median(column(hs, func(h held) int64 { return h.idle }))>>20),
				each(func(h held) int64 { return h.open - h.idle }), each(func(h held) int64 { return h.peak - h.idle }),
				millis(answered), fmt.Sprintf("%.0f", float64(n)/answered.Seconds()),
				fmt.Sprint(median(column(hs, func(h held) int64 { return h.redis }))))
		}
	}
	l.tables.add("memory", t)
	fmt.Print(t.text())
	return nil
}

// possible leaves out, or cuts down, what the limit of open files forbids.
func (*lab) possible(counts []int) ([]int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	most := int(min(limit.Max, 1<<30)) - spareFiles
	var out []int
	for _, n := range counts {
		if n > most {
			fmt.Printf("%d connections are more than this machine's limit of open files allows: %d instead\n", n, most/500*500)
			n = most / 500 * 500
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// holdOpen holds n confirmations open for so long, and answers all.
func (l *lab) holdOpen(ctx context.Context, name string, n int, hold time.Duration) (h held, err error) {
	c, err := l.prepare(ctx, name, concurrency(n)...)
	if err != nil {
		return h, err
	}
	c.environ = []string{fmt.Sprintf("BENCH_AT_ONCE=%d", n)}
	defer c.stop()
	p, err := c.launch()
	if err != nil {
		return h, err
	}
	if err := c.warmUp(ctx); err != nil {
		return h, err
	}
	time.Sleep(2 * time.Second) // what starting took is given back
	h.idle, _ = p.memory()
	before, err := c.redisMemory(ctx)
	if err != nil {
		return h, err
	}
	if err := l.control("/hold"); err != nil {
		return h, err
	}
	if err := c.enqueue(ctx, n, distinct); err != nil {
		return h, err
	}
	err = until(3*time.Minute, 20*time.Millisecond, "for all to be open", func() bool { return l.gatewayState().Open >= int64(n) })
	if err != nil {
		return h, fmt.Errorf("%w: %d of %d are", err, l.gatewayState().Open, n)
	}
	h.open, _ = p.memory()
	after, err := c.redisMemory(ctx)
	if err != nil {
		return h, err
	}
	h.redis = (after - before) / int64(n)
	time.Sleep(hold)
	released := time.Now()
	if err := l.control("/release"); err != nil {
		return h, err
	}
	if err := c.await(ctx, n+warmJobs); err != nil {
		return h, err
	}
	_, last, err := c.events(ctx)
	h.answered = last.Sub(released)
	_, h.peak = p.memory()
	return h, err
}
