package console

import (
	"slices"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// The chart's measures, in the units of its view box.
const (
	chartMinutes = 15
	barWidth     = 36
	barStep      = 40
	barHeight    = 120
	segmentLeast = 2 // of height, so that a few among many are seen
)

// chart shows how many jobs ended in each of the last minutes, by their outcomes.
type chart struct {
	Bars   []bar
	Series []series // the outcomes that there are, in the order of the contract
	Most   int      // jobs of a minute
	Total  int
}

type bar struct {
	From     time.Time
	X        int
	Jobs     int
	Segments []segment // from above
}

type segment struct {
	Outcome job.Outcome
	Jobs    int
	Y       float64
	Height  float64
}

type series struct {
	Outcome job.Outcome
	Jobs    int
}

func newChart(pods []worker.PodState, now time.Time) *chart {
	c := &chart{}
	first := now.UTC().Truncate(time.Minute).Add(-(chartMinutes - 1) * time.Minute)
	counts := make([]map[job.Outcome]int, chartMinutes)
	totals := map[job.Outcome]int{}
	for i := range counts {
		counts[i] = map[job.Outcome]int{}
	}
	for _, p := range pods {
		for _, m := range p.Minutes {
			i := int(m.From.Sub(first) / time.Minute)
			if m.From.Before(first) || i >= chartMinutes {
				continue // a pod's clock may be wrong
			}
			for outcome, n := range m.Outcomes {
				counts[i][outcome] += n
				totals[outcome] += n
			}
		}
	}
	for i, count := range counts {
		b := bar{From: first.Add(time.Duration(i) * time.Minute), X: i * barStep}
		for _, n := range count {
			b.Jobs += n
		}
		c.Most, c.Total = max(c.Most, b.Jobs), c.Total+b.Jobs
		c.Bars = append(c.Bars, b)
	}
	for i := range c.Bars {
		c.Bars[i].stack(counts[i], c.Most)
	}
	for _, outcome := range job.Outcomes() {
		if n := totals[outcome]; n > 0 {
			c.Series = append(c.Series, series{outcome, n})
		}
	}
	return c
}

// stack puts the outcomes of a minute on each other, the first of the contract lowest. What is too
// little to be seen is made higher, at the expense of the highest.
func (b *bar) stack(count map[job.Outcome]int, most int) {
	excess, highest := 0.0, 0
	for _, outcome := range slices.Backward(job.Outcomes()) {
		n := count[outcome]
		if n == 0 {
			continue
		}
		fair := float64(n) / float64(most) * barHeight
		s := segment{Outcome: outcome, Jobs: n, Height: max(fair, segmentLeast)}
		excess += s.Height - fair
		b.Segments = append(b.Segments, s)
		if last := len(b.Segments) - 1; s.Height > b.Segments[highest].Height {
			highest = last
		}
	}
	y := float64(barHeight)
	for i := len(b.Segments) - 1; i >= 0; i-- {
		s := &b.Segments[i]
		if i == highest {
			s.Height = max(s.Height-excess, segmentLeast)
		}
		y -= s.Height
		s.Y = y
	}
}
