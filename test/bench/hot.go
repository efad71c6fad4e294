package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// personTakes is long enough for the places, not the processor, to be what is scarce.
const personTakes = 250 * time.Millisecond

// measureHotAccount compares the other accounts' pace with and without as many jobs
// again for one account among theirs.
func measureHotAccount(ctx context.Context, l *lab) error {
	if err := l.control("/delay?d=" + personTakes.String()); err != nil {
		return err
	}
	defer func() { _ = l.control("/delay?d=0s") }()
	n := l.jobs / 3
	var without, with []float64
	for range l.rounds {
		a, err := l.others(ctx, n, distinct)
		if err != nil {
			return err
		}
		b, err := l.others(ctx, 2*n, func(i int) string {
			if i%2 == 0 {
				return "hot"
			}
			return distinct(i / 2)
		})
		if err != nil {
			return err
		}
		without, with = append(without, a), append(with, b)
		fmt.Printf("others: %.0f jobs/s without, %.0f with the hot account: %.2f\n", a, b, b/a)
	}
	t := table{head: []string{"queue", "others' jobs/s", "ratio"}}
	t.add("others alone", fmt.Sprintf("%.0f", median(without)), "1.00")
	t.add("as many jobs for one account among them", fmt.Sprintf("%.0f", median(with)), fmt.Sprintf("%.2f", median(with)/median(without)))
	l.tables.add("hot", t)
	fmt.Print(t.text())
	return nil
}

// others returns the jobs a second of all accounts but the hot one.
func (l *lab) others(ctx context.Context, n int, account func(int) string) (float64, error) {
	c, err := l.prepare(ctx, "relogin", l.atOnceFlags()...)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	if err := c.enqueue(ctx, n, account); err != nil {
		return 0, err
	}
	if _, err := c.launch(); err != nil {
		return 0, err
	}
	if err := c.await(ctx, n); err != nil {
		return 0, err
	}
	events, err := c.all(ctx)
	if err != nil {
		return 0, err
	}
	var times []time.Time
	for _, e := range events {
		if !strings.HasPrefix(e.WcID, "hot") {
			times = append(times, e.at)
		}
	}
	from := len(times) / 10
	return float64(len(times)-from-1) / times[len(times)-1].Sub(times[from]).Seconds(), nil
}
