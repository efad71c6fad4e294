package bench

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// errAllEnded ends following events.
var errAllEnded = errors.New("all jobs have ended")

// tally is how the jobs of a run ended.
type tally struct {
	load     load
	ends     []ending // by the jobs' numbers
	ended    int
	repeated int           // events of jobs that had one
	foreign  int           // events of jobs that are not the run's
	news     chan struct{} // holds one: there was an event
	progress *progressbar.ProgressBar
}

// ending is what a job's event tells. Both times are of NATS's clock.
type ending struct {
	published, stored time.Time
	outcome           worker.Outcome // empty: no event yet
	shared            bool
	prompted          bool
}

func newTally(l load, progress *progressbar.ProgressBar) *tally {
	return &tally{load: l, ends: make([]ending, l.jobCount), news: make(chan struct{}, 1), progress: progress}
}

// see notes an event, and returns [errAllEnded] once each job has one.
func (t *tally) see(e *worker.Event, stored time.Time) error {
	select {
	case t.news <- struct{}{}:
	default:
	}
	n, ours := t.load.number(e.JobID)
	switch {
	case !ours || t.load.job(n).WcID != e.WcID:
		t.foreign++
		return nil
	case t.ends[n].outcome != "":
		t.repeated++
		return nil
	}
	t.ends[n] = ending{e.RequestedAt, stored, e.Outcome, e.SharedWith != "", e.Prompted}
	t.ended++
	_ = t.progress.Add(1)
	if t.ended == len(t.ends) {
		return errAllEnded
	}
	return nil
}

// figures returns what the run has shown. All jobs have ended.
func (t *tally) figures(prompts []gatewaytest.Prompt, stats gatewaytest.Stats, used usage) *figures {
	open := t.openFor(prompts)
	f := &figures{
		Outcomes: map[worker.Outcome]int{}, Prompts: stats.Prompts, MostOpen: stats.MaxOpen, MostOpenForOneAccount: stats.MaxOpenPerAccount,
		IdleResidentBytes: used.idle, PeakResidentBytes: used.peak,
		WorkerCPU: math.Round(10*float64(used.cpu.Microseconds())/float64(len(t.ends))) / 10, repeated: t.repeated, foreign: t.foreign,
	}
	var added []time.Duration
	first, last, published := t.ends[0], t.ends[0], t.ends[0].published
	wait := open[0]
	for n, e := range t.ends {
		f.Outcomes[e.outcome]++
		if e.shared {
			f.Shared++
		}
		if d, known := open[n]; known && e.prompted && !e.shared {
			added = append(added, e.stored.Sub(e.published)-d)
		}
		if e.stored.Before(first.stored) {
			first, wait = e, open[n]
		}
		if e.stored.After(last.stored) {
			last = e
		}
		if e.published.Before(published) {
			published = e.published
		}
	}
	f.backlog, f.live = last.stored.Sub(first.stored)+wait, last.stored.Sub(published)
	f.added = newLatency(added)
	if used.idle > 0 && used.peak > used.idle && stats.MaxOpen > 0 {
		f.BytesPerOpenConfirmation = (used.peak - used.idle) / int64(stats.MaxOpen)
	}
	return f
}

// openFor returns for how long each job's prompt was open, by the job's number.
func (t *tally) openFor(prompts []gatewaytest.Prompt) map[int]time.Duration {
	open := map[int]time.Duration{}
	for _, p := range prompts {
		if n, ours := t.load.number(p.AID); ours && !p.End.IsZero() {
			open[n] = p.End.Sub(p.Start)
		}
	}
	return open
}

// latency is a distribution, in milliseconds.
type latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Jobs int     `json:"jobs"` // that it is of
}

// newLatency sorts what it is given, and returns nil for nothing.
func newLatency(all []time.Duration) *latency {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(percent int) float64 {
		rank := (len(all)*percent + 99) / 100 // the least of which so many are no greater
		return float64(all[rank-1].Microseconds()) / 1000
	}
	return &latency{P50: at(50), P90: at(90), P99: at(99), Max: at(100), Jobs: len(all)}
}

func (l *latency) String() string {
	return fmt.Sprintf("p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms", l.P50, l.P90, l.P99, l.Max)
}
