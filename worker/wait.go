package worker

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// wait is how a job waits: without a slot, in the bounded number of those that may.
// It returns nil after d or when woken (nil: never) is ready, and a handBack when the
// worker stops or too many wait.
func (t *task) wait(d time.Duration, woken <-chan struct{}) error {
	if !t.park() {
		return handBack{after: t.comeBack(d)}
	}
	return t.rest(d, woken, nil)
}

// comeBack is how long a job stays in the queue that found no room to wait here, at most
// d: the shorter the less often it was delivered, so that one which waits for a moment
// comes back soon, and thousands that wait for long do not go round and round.
func (t *task) comeBack(d time.Duration) time.Duration {
	pause := time.Second << min(t.d.Attempts-1, 6)
	return max(min(pause, d, time.Minute), time.Second) + jitter(pause)
}

// standBy waits like [task.wait], for something that may hold up all jobs. When it does,
// and there is no room, the job keeps its slot, so that the pod takes no more of them. When
// it holds up some, the job goes back, for the longer the more often it came: the store
// that is away can't count that it did not fail.
func (t *task) standBy(d time.Duration) error {
	if !t.park() && !t.w.outages.total() {
		return handBack{after: awayPause<<min(t.d.Attempts-1, 3) + jitter(awayPause)}
	}
	return t.rest(d, nil, nil)
}

// lender gives a job's slot back while the job waits for an answer that does not come.
type lender struct {
	mu      sync.Mutex
	waiting bool
	timer   *time.Timer
}

// lending calls do, and gives the slot back when that takes long, as long as there is room
// to wait: what does not answer may be what this job alone depends on.
func (t *task) lending(do func() error) error {
	l := &t.lender
	if l.timer == nil {
		l.timer = time.AfterFunc(lendAfter, t.lend)
	} else {
		l.timer.Reset(lendAfter)
	}
	l.set(true)
	err := do()
	l.timer.Stop()
	l.set(false)
	return err
}

func (l *lender) set(waiting bool) {
	l.mu.Lock()
	l.waiting = waiting
	l.mu.Unlock()
}

func (t *task) lend() {
	t.lender.mu.Lock()
	defer t.lender.mu.Unlock()
	if t.lender.waiting {
		t.park()
	}
}

// rest returns nil after d, or when woken or trial is ready; nil ones never are. What comes
// from trial permits the job to try its tenant's credential. A handBack is returned when
// the worker stops.
func (t *task) rest(d time.Duration, woken, trial <-chan struct{}) error {
	started := time.Now()
	defer func() { t.elsewhere += time.Since(started) }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-trial:
		t.trial = true
	case <-t.w.stopping:
		return handBack{}
	}
	return nil
}

// pauseFor returns a wait before the job asks again.
func (t *task) pauseFor(d time.Duration) func(context.Context) (*Conclusion, error) {
	return func(context.Context) (*Conclusion, error) { return nil, t.wait(min(d, t.left()), nil) }
}

// awaitSlot waits for a place among the pod's confirmations: the job was parked, or its
// tenant has its share of them, and now it is its turn.
func (t *task) awaitSlot(ctx context.Context) (*Conclusion, error) {
	if !t.park() {
		return nil, handBack{after: t.comeBack(time.Minute)}
	}
	started := time.Now()
	defer func() { t.elsewhere += time.Since(started) }()
	ctx, cancel := t.w.untilStop(ctx)
	defer cancel()
	if err := t.w.slots.acquireFor(ctx, t.d.Lane, t.job.Tenant); err != nil {
		return nil, handBack{}
	}
	t.slot, t.counted = true, true
	t.unpark()
	return nil, nil
}

// awaitCredential waits until the tenant's credential has changed or works again, or this
// job may try it, or the deadline has passed.
func (t *task) awaitCredential(changed, trial <-chan struct{}) error {
	if !t.park() {
		return handBack{after: noRoomPause/2 + jitter(noRoomPause)}
	}
	return t.rest(max(t.left(), 0), changed, trial)
}

// refused notes that the gateway refused the credential for this job, which tries again
// after pauses that grow, or when the credential has changed.
func (t *task) refused(ctx context.Context, err error) (*Conclusion, error) {
	t.refusal, t.trial = err, false
	t.w.refusals.add(t.job.Tenant, t.job.WcID, t.access.Fingerprint, err)
	t.log(ctx, slog.LevelDebug, "the gateway refused the credential for this job: trying again later", "tenant", t.job.Tenant, "error", err)
	return nil, t.wait(min(t.refusals.NextBackOff(), max(t.left(), 0)), t.w.refusals.changed(t.job.Tenant))
}

// returnTrial lets another job try that has not.
func (t *task) returnTrial() {
	if t.trial {
		t.trial = false
		t.w.refusals.grant([]string{t.job.Tenant})
	}
}

// rate waits for the tenant's turn under the rate that all pods share.
func (t *task) rate(ctx context.Context) (func(context.Context) (*Conclusion, error), error) {
	if t.reserved {
		return nil, nil
	}
	ahead := normalAhead
	if t.d.Lane == Urgent {
		ahead = urgentAhead
	}
	d, taken, err := t.w.locker.Reserve(ctx, t.job.Tenant, ahead)
	switch {
	case err != nil:
		t.w.outages.store.failed(err)
		t.log(ctx, slog.LevelDebug, "asking for the tenant's turn failed: trying again", "error", err)
		return t.pauseFor(t.retries.NextBackOff()), nil
	case !taken:
		return t.pauseFor(t.retries.NextBackOff()), nil
	case d > 0:
		t.reserved = true // the slot is kept: a place that is not used is lost
		return func(context.Context) (*Conclusion, error) { return nil, t.rest(d, nil, nil) }, nil
	}
	return nil, nil
}

// left is how much time the job has before its deadline.
func (t *task) left() time.Duration {
	if t.job.Deadline.IsZero() {
		return math.MaxInt64
	}
	return t.job.Deadline.Sub(t.clock())
}

// takeSlot makes sure that the task has one of the pod's slots, within its tenant's share.
func (t *task) takeSlot() bool {
	switch {
	case t.counted:
	case t.slot:
		t.counted = t.w.slots.assign(t.d.Lane, t.job.Tenant)
	case t.w.slots.tryAcquireFor(t.d.Lane, t.job.Tenant):
		t.slot, t.counted = true, true
		t.unpark()
	}
	return t.counted
}

func (t *task) freeSlot() {
	switch {
	case t.counted:
		t.w.slots.releaseFor(t.d.Lane, t.job.Tenant)
	case t.slot:
		t.w.slots.release(t.d.Lane, 1)
	}
	t.slot, t.counted = false, false
}

// park gives the slot back and counts the task among those that wait. It returns
// false when there is no room for it.
func (t *task) park() bool {
	if t.parked {
		return true
	}
	if !t.w.room.enter(t.job) {
		return false
	}
	t.parked, t.reserved = true, false
	t.w.metrics.parked.Inc()
	t.freeSlot()
	return true
}

func (t *task) unpark() {
	if t.parked {
		t.parked = false
		t.w.room.leave(t.job)
		t.w.metrics.parked.Dec()
	}
}

func jitter(up time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(up))) }
