package worker

import (
	"sync"
	"time"
)

// seat is what a task holds of the pod.
type seat struct {
	slot    bool    // one of the slots for confirmations
	counted bool    // the slot is in its tenant's share
	parked  bool    // a place among the jobs that wait
	failing bool    // the place was taken to wait for something that fails
	waiter  *waiter // a place among those that wait for the account
}

// takeSlot makes sure that the task has one of the pod's slots, within its tenant's share.
func (t *task) takeSlot() bool {
	s := &t.seat
	switch {
	case s.counted:
	case s.slot:
		s.counted = t.w.slots.assign(t.d.Lane, t.job.Tenant)
	case t.w.slots.tryAcquireFor(t.d.Lane, t.job.Tenant):
		s.slot, s.counted = true, true
		t.unpark()
	}
	return s.counted
}

func (t *task) freeSlot() {
	switch {
	case t.seat.counted:
		t.w.slots.releaseFor(t.d.Lane, t.job.Tenant)
	case t.seat.slot:
		t.w.slots.release(t.d.Lane, 1)
	}
	t.seat.slot, t.seat.counted = false, false
}

// park gives the slot back and counts the task among those that wait, for something that fails
// or not. It returns false when there is no room for it.
func (t *task) park(failing bool) bool {
	if t.seat.parked {
		if failing != t.seat.failing {
			t.seat.failing = failing
			t.w.room.change(t.job, failing)
		}
		return true
	}
	if !t.w.room.enter(t.job, failing) {
		return false
	}
	t.seat.parked, t.seat.failing, t.claim.reserved = true, failing, false
	t.w.metrics.parked.Inc()
	t.freeSlot()
	return true
}

func (t *task) unpark() {
	if t.seat.parked {
		t.seat.parked = false
		t.w.room.leave(t.job, t.seat.failing)
		t.w.metrics.parked.Dec()
	}
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
		t.park(true)
	}
}
