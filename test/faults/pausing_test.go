//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// held is a time in which a pause is in effect for certain.
type held struct {
	queue.Target
	from, to time.Time
}

func (o *operator) pauseAccounts(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		var some []queue.Target
		for _, n := range random.Perm(hotAccounts)[:2+random.IntN(6)] {
			some = append(some, queue.Target{Scope: queue.ScopeAccount, Name: fmt.Sprintf("hot_%d", n)})
		}
		o.hold(ctx, some, moment+within(random, 5*second))
		pause(ctx, within(random, second))
	}
}

// pauseMany pauses what is about many accounts, and rarely everything: much must go on.
func (o *operator) pauseMany(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		var t queue.Target
		switch random.IntN(6) {
		case 0:
			t = queue.Target{Scope: queue.ScopeAll}
		case 1:
			t = queue.Target{Scope: queue.ScopeLane, Name: string(job.Normal)}
		case 2:
			t = queue.Target{Scope: queue.ScopeLane, Name: string(job.Urgent)}
		case 3:
			t = queue.Target{Scope: queue.ScopeTenant, Name: "default"}
		default:
			t = queue.Target{Scope: queue.ScopeTenant, Name: "other"}
		}
		o.hold(ctx, []queue.Target{t}, moment+within(random, 3*second))
		pause(ctx, moment+within(random, 4*second))
	}
}

func within(random *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(most)))
}

// margin is how long after all workers knew a pause it counts: requests that were on their
// way have arrived.
const margin = time.Second

// hold pauses the targets, and keeps them paused for so long from when each worker that runs
// has taken that over. One more pause, of a tenant that nobody is, tells when: workers log it
// after what was stored before, and one that is started later reads them all first.
func (o *operator) hold(ctx context.Context, targets []queue.Target, d time.Duration) {
	marker := queue.Target{Scope: queue.ScopeTenant, Name: fmt.Sprintf("nobody-%d", o.pauses.Add(1))}
	all := append(targets, marker)
	stored := true
	for _, t := range all {
		stored = stored && o.insist(ctx, func(ctx context.Context) error {
			return o.control.Pause(ctx, queue.Pause{Target: t, By: "somebody"})
		})
	}
	start := time.Now()
	effective := stored && o.awaitKnown(ctx, marker)
	known := time.Now()
	if effective {
		pause(ctx, margin+d)
	}
	end := time.Now()
	for _, t := range all {
		o.resume(t)
	}
	if !effective {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known = append(o.known, known.Sub(start))
	if from := known.Add(margin); from.Before(end) {
		for _, t := range targets {
			o.held = append(o.held, held{t, from, end})
		}
	}
}

// patience is how long a worker gets that is stopped or cut off.
const patience = 15 * time.Second

// awaitKnown waits until each worker that runs has taken over the pause, and tells whether they have.
func (o *operator) awaitKnown(ctx context.Context, marker queue.Target) bool {
	start, last := time.Now(), ""
	known := servers.Poll(patience, func() bool {
		i := slices.IndexFunc(o.w.workers, func(p *servers.Process) bool {
			return running(p) && !p.Logged(fmt.Sprintf("%q", marker))
		})
		if i >= 0 {
			last = o.w.workers[i].Name
		}
		return i < 0 || ctx.Err() != nil
	})
	if took := time.Since(start); took > margin {
		o.w.now(fmt.Sprintf("a pause was taken over after %v at last by %s: %v", took.Round(time.Millisecond), last, known))
	}
	return known && ctx.Err() == nil
}

func running(p *servers.Process) bool {
	done := p.Done()
	select {
	case <-done:
		return false
	default:
		return done != nil
	}
}

func (o *operator) resume(t queue.Target) {
	o.insist(context.Background(), func(ctx context.Context) error {
		_, err := o.control.Resume(ctx, t, "somebody", "")
		if errors.Is(err, queue.ErrNotPaused) {
			return nil
		}
		return err
	})
}

// resumeAll lifts what was stored after somebody had given it up.
func (o *operator) resumeAll() {
	o.insist(context.Background(), func(ctx context.Context) error {
		all, err := o.control.Pauses(ctx)
		for _, p := range all {
			o.resume(p.Target)
		}
		return err
	})
}
