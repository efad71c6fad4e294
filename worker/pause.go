package worker

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/worker/job"
)

// pause is how a job waits before it asks for its account again.
type pause struct {
	atMost    time.Duration
	woken     <-chan struct{}     // ends the pause when it is ready; nil: nothing does
	forSlot   bool                // the pause lasts until the job has a slot
	forTurn   bool                // it does until the job may try its tenant's credential, or that works again
	healthy   bool                // nothing fails that the job waits for: a person, or other jobs
	keepsSlot bool                // the job has a slot and keeps it
	forAll    bool                // what the job waits for may hold up all jobs
	comesBack time.Duration       // after how long the job comes back to a pod when there is no room to wait in this one
	observe   prometheus.Observer // is told how long the pause took; nil: nobody is
}

const forever time.Duration = math.MaxInt64

// noPause has the job ask again at once.
var noPause = &pause{}

// pause is the usual one, of that length.
func (t *task) pause(d time.Duration) *pause {
	return &pause{atMost: d, comesBack: t.comeBack(d)}
}

// pauseInTime ends at the deadline, too: the job ends then, unless its own prompt may be open.
func (t *task) pauseInTime(d time.Duration) *pause { return t.pause(min(d, t.left())) }

// standBy is for what may hold up all jobs. While it does, and there is no room, the job
// keeps its slot, so that the pod takes no more of them. When it holds up some, the job goes
// back, for the longer the more often it came: the store that is away can't count that it did
// not fail.
func (t *task) standBy(d time.Duration) *pause {
	return &pause{atMost: d, forAll: true, comesBack: t.awayPause()}
}

// awayPause is how long a job goes back that waits for what holds up some jobs, and finds no
// room for that.
func (t *task) awayPause() time.Duration {
	return awayPause<<min(t.d.Attempts-1, 3) + jitter(awayPause)
}

// comeBack is how long a job stays in the queue that found no room to wait here, at most
// d: the shorter the less often it was delivered, so that one which waits for a moment
// comes back soon, and thousands that wait for long do not go round and round.
func (t *task) comeBack(d time.Duration) time.Duration {
	pause := time.Second << min(t.d.Attempts-1, 6)
	return max(min(pause, d, time.Minute), time.Second) + jitter(pause)
}

// wait has the job wait, without a slot, in the bounded number of those that may. It returns
// nil when the pause is over, and what to do instead when the worker stops or too many wait.
func (t *task) wait(run lifetime, p *pause) *next {
	if p == noPause {
		return nil
	}
	if !p.keepsSlot {
		t.returnTrial() // the job does not call the gateway now
		if !t.park(!p.healthy) && !(p.forAll && t.w.outages.total()) {
			return back(p.comesBack)
		}
	}
	started := time.Now()
	defer func() {
		t.elsewhere += time.Since(started)
		if p.observe != nil {
			p.observe.Observe(time.Since(started).Seconds())
		}
	}()
	if p.forSlot {
		if _, err := t.w.slots.acquire(run.waiting, t.d.Lane, t.job.Tenant, 1); err != nil {
			return back(0)
		}
		t.slot, t.slotOwner = true, t.job.Tenant
		t.w.room.leave(t.job)
		return nil
	}
	woken, permit := p.woken, chan struct{}(nil)
	if p.forTurn {
		turn, lifted := t.w.refusals.await(t.job.Tenant, t.job.WcID)
		if turn == nil {
			return nil
		}
		defer t.w.refusals.leave(turn)
		woken, permit = lifted, turn.permit
	}
	timer := time.NewTimer(p.atMost)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-permit:
		t.trial = true
	case <-run.waiting.Done():
		return back(0)
	}
	return nil
}

// awaitTurn takes the tenant's next turn under the rate that all pods share, and returns
// how to wait for it, nil when it has come.
func (t *task) awaitTurn(ctx context.Context) *next {
	if t.claim.reserved {
		return nil
	}
	ahead := normalAhead
	if t.d.Lane == job.Urgent {
		ahead = urgentAhead
	}
	d, taken, err := t.w.locker.Reserve(ctx, t.job.Tenant, ahead)
	switch {
	case err != nil:
		t.w.outages.store.failed(err)
		t.log(ctx, slog.LevelDebug, "asking for the tenant's turn failed: trying again", "error", err)
		return t.tryAgain()
	case !taken:
		next := t.tryAgain()
		next.again.healthy = true
		return next
	case d > 0:
		t.claim.reserved = true
		return again(&pause{atMost: d, keepsSlot: true}) // a turn that is not used is lost
	}
	return nil
}

func jitter(up time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(up))) }
