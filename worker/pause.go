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
	reason    Reason              // what the job waits for
	keepsSlot bool                // the job has a slot and keeps it
	forAll    bool                // what the job waits for may hold up all jobs
	comesBack time.Duration       // after how long the job comes back to a pod when there is no room to wait in this one
	observe   prometheus.Observer // is told how long the pause took; nil: nobody is
}

const forever time.Duration = math.MaxInt64

// Reason says what a job waits for that is taken, and not asking.
type Reason string

// The reasons.
const (
	WaitsForAccount    Reason = "account"    // a confirmation of it is open, by another job or an earlier delivery of this one
	WaitsForSlot       Reason = "slot"       // the pod, or the tenant's share of it, has as many confirmations open as it may
	WaitsForRate       Reason = "rate"       // the tenant's next turn under the rate of prompts
	WaitsForResume     Reason = "paused"     // a person has paused it
	WaitsForCredential Reason = "credential" // the gateway refuses the tenant's
	WaitsForGateway    Reason = "gateway"    // calls to it fail
	WaitsForStore      Reason = "redis"      // it does not answer
	WaitsForLocks      Reason = "quarantine" // Redis may have lost locks
	WaitsForNATS       Reason = "nats"       // it does not answer, or does not store what has happened
)

// fails tells whether something fails that the job waits for, or is held back: such jobs get less of the room.
func (r Reason) fails() bool { return r != WaitsForAccount && r != WaitsForSlot && r != WaitsForRate }

// noPause has the job ask again at once.
var noPause = &pause{}

// pause is the usual one, of that length.
func (t *task) pause(r Reason, d time.Duration) *pause {
	return &pause{reason: r, atMost: d, comesBack: t.comeBack(d)}
}

// pauseInTime ends at the deadline, too: the job ends then, unless its own prompt may be open.
func (t *task) pauseInTime(r Reason, d time.Duration) *pause { return t.pause(r, min(d, t.left())) }

// standBy is for what may hold up all jobs. While it does, and there is no room, the job
// keeps its slot, so that the pod takes no more of them. When it holds up some, the job goes
// back, for the longer the more often it came: the store that is away can't count that it did
// not fail.
func (t *task) standBy(r Reason, d time.Duration) *pause {
	return &pause{reason: r, atMost: d, forAll: true, comesBack: t.awayPause()}
}

// paused returns how the job waits while a person has paused it, nil when nobody has. At its
// deadline it goes on, to end. It gives up its place among those that wait for the account:
// who has one may be the one that asks for others, and this job does not ask.
func (t *task) paused() *next {
	t.nudged = false
	lifted := t.w.Pauses.Paused(t.d.Lane, t.job.Tenant, t.job.WcID)
	if lifted == nil {
		return nil
	}
	if t.waiter != nil {
		t.waiter.leave()
		t.waiter = nil
	}
	return again(&pause{reason: WaitsForResume, atMost: max(t.left(), 0), woken: lifted, comesBack: t.awayPause()})
}

// mayHaveNews tells whether the store may have a result for a job that must not make its phone
// ask: its own confirmation, or one that it waited for, may have ended.
func (t *task) mayHaveNews() bool {
	return t.nudged || t.waiter != nil || t.ambiguity != nil || t.d.Attempts > 1 && t.answer.State == ""
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
		if !t.park(p.reason.fails()) && !(p.forAll && t.w.outages.total()) {
			return back(p.comesBack)
		}
	}
	started := time.Now()
	t.w.inFlight.does(t, t.waits(p, started))
	defer func() {
		t.w.inFlight.does(t, Activity{Doing: Working})
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
	case <-t.nudge: // only this goroutine sets it
		t.nudged = true
	case <-permit:
		t.trial = true
	case <-run.waiting.Done():
		return back(0)
	}
	return nil
}

// waits is what others are told of a job that waits.
func (t *task) waits(p *pause, now time.Time) Activity {
	a := Activity{Doing: Waiting, Reason: p.reason}
	if p.atMost > 0 && p.atMost < forever {
		a.Until = now.Add(p.atMost)
	}
	if p.reason == WaitsForAccount {
		a.Behind, a.Holder = t.answer.By, t.answer.Pod
	}
	return a
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
		return t.tryAgain(WaitsForStore)
	case !taken:
		return t.tryAgain(WaitsForRate)
	case d > 0:
		t.claim.reserved = true
		return again(&pause{reason: WaitsForRate, atMost: d, keepsSlot: true}) // a turn that is not used is lost
	}
	return nil
}

func jitter(up time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(up))) }
