package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// reading is what the clock and the operating system said at one moment.
type reading struct {
	at                           time.Time
	worker, nats, redis, gateway time.Duration // CPU time
	events                       int
}

func (c *contest) read(ctx context.Context) (r reading, err error) {
	r.at = time.Now()
	for _, p := range c.pods {
		r.worker += p.cpu()
	}
	r.nats, r.redis, r.gateway = c.natsServer.cpu(), c.redisServer.cpu(), c.lab.gateway.cpu()
	r.events, _, err = c.events(ctx)
	return r, err
}

// pace is what happened between two readings.
type pace struct {
	perSecond                    float64       // jobs
	worker, nats, redis, gateway time.Duration // CPU time of a job
	peak                         int64         // resident bytes of the contestant
}

func (p pace) speed() float64 { return p.perSecond }
func (p pace) work() float64  { return float64(p.worker) }

// ratio is the median of the rounds' ratios: a machine's speed changes from one to the next.
func ratio(of, to []pace, what func(pace) float64) string {
	var ratios []float64
	for i := range min(len(of), len(to)) {
		ratios = append(ratios, what(of[i])/what(to[i]))
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func between(a, b reading) pace {
	n := time.Duration(max(b.events-a.events, 1))
	return pace{
		perSecond: float64(b.events-a.events) / b.at.Sub(a.at).Seconds(),
		worker:    (b.worker - a.worker) / n, nats: (b.nats - a.nats) / n,
		redis: (b.redis - a.redis) / n, gateway: (b.gateway - a.gateway) / n,
	}
}

// span measures from the event of one number to that of another, so that starting and
// stopping count nowhere.
func (c *contest) span(ctx context.Context, from, to int) (pace, error) {
	if err := c.await(ctx, from); err != nil {
		return pace{}, err
	}
	first, err := c.read(ctx)
	if err != nil {
		return pace{}, err
	}
	if err := c.await(ctx, to); err != nil {
		return pace{}, err
	}
	last, err := c.read(ctx)
	p := between(first, last)
	for _, pod := range c.pods {
		_, peak := pod.memory()
		p.peak += peak
	}
	return p, err
}

// keepLogs copies what the processes said to where it is not removed.
func (l *lab) keepLogs() string {
	dir := filepath.Join(os.TempDir(), "relogin-bench-logs")
	_ = os.RemoveAll(dir)
	_ = os.Mkdir(dir, 0o700)
	logs, _ := filepath.Glob(l.log("*"))
	for _, log := range logs {
		if data, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(dir, filepath.Base(log)), data[max(0, len(data)-1<<16):], 0o600)
		}
	}
	return dir
}

// median of what is there; the mean of the two in the middle where there is no middle.
func median[T int | int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// percentile of sorted values, the nearest rank.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// column returns one figure of many.
func column[T any, V any](rows []T, of func(T) V) []V {
	var out []V
	for _, r := range rows {
		out = append(out, of(r))
	}
	return out
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }
func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }
