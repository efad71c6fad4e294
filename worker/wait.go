package worker

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"
)

// wait is how a job waits: without a slot, in the bounded number of those that may.
// It returns nil after d or when woken (nil: never) is ready, and a handBack when the
// worker stops or too many wait.
func (t *task) wait(d time.Duration, woken <-chan struct{}) error {
	if !t.park() {
		return handBack{after: min(max(d, time.Second), time.Minute) + jitter(5*time.Second)}
	}
	return t.rest(d, woken)
}

// hold waits with the slot kept: what is waited for holds up every job, so that
// taking more of them would be wrong.
func (t *task) hold(d time.Duration) error { return t.rest(d, nil) }

func (t *task) rest(d time.Duration, woken <-chan struct{}) error {
	started := time.Now()
	defer func() { t.elsewhere += time.Since(started) }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-t.w.stopping:
		return handBack{}
	}
	return nil
}

// pauseFor returns a wait before the job asks again.
func (t *task) pauseFor(d time.Duration) func(context.Context) (*Conclusion, error) {
	return func(context.Context) (*Conclusion, error) { return nil, t.wait(min(d, t.left()), nil) }
}

// awaitSlot waits for a place among the pod's confirmations: the job was parked, and
// now it is its turn.
func (t *task) awaitSlot(ctx context.Context) (*Conclusion, error) {
	if !t.park() {
		return nil, handBack{after: time.Second + jitter(time.Second)}
	}
	started := time.Now()
	defer func() { t.elsewhere += time.Since(started) }()
	ctx, cancel := t.w.untilStop(ctx)
	defer cancel()
	if _, err := t.w.slots.acquire(ctx, t.d.Lane, 1); err != nil {
		return nil, handBack{}
	}
	t.slot = true
	t.unpark()
	return nil, nil
}

// awaitCredential waits until the tenant's credential has changed, or the deadline has passed.
func (t *task) awaitCredential(lifted <-chan struct{}) (*Conclusion, error) {
	return nil, t.wait(max(t.left(), 0), lifted)
}

// refuse pauses the tenant: its credential was refused.
func (t *task) refuse(ctx context.Context, err error) {
	if t.w.refusals.add(t.job.Tenant, t.access.Fingerprint) {
		t.w.metrics.refused.Inc()
		t.log(ctx, slog.LevelError, "the gateway refused the credential: the tenant's jobs wait until it changes",
			"tenant", t.job.Tenant, "gateway", t.access.Address, "error", err)
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
		t.log(ctx, slog.LevelWarn, "asking for the tenant's turn failed: trying again; see that Redis works", "error", err)
		return t.pauseFor(t.retries.NextBackOff()), nil
	case !taken:
		return t.pauseFor(t.retries.NextBackOff()), nil
	case d > 0:
		t.reserved = true // the slot is kept: a place that is not used is lost
		return func(context.Context) (*Conclusion, error) { return nil, t.hold(d) }, nil
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

// takeSlot makes sure that the task has one of the pod's slots.
func (t *task) takeSlot() bool {
	if !t.slot && t.w.slots.tryAcquire(t.d.Lane, 1) == 1 {
		t.slot = true
		t.unpark()
	}
	return t.slot
}

func (t *task) freeSlot() {
	if t.slot {
		t.slot = false
		t.w.slots.release(t.d.Lane, 1)
	}
}

// park gives the slot back and counts the task among those that wait. It returns
// false when there are too many.
func (t *task) park() bool {
	if t.parked {
		return true
	}
	if t.w.parked.Add(1) > int64(t.w.MaxParked) {
		t.w.parked.Add(-1)
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
		t.w.parked.Add(-1)
		t.w.metrics.parked.Dec()
	}
}

func jitter(up time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(up))) }
