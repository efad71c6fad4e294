package worker

import (
	"sync"
	"time"
)

// seat is what a task holds of the pod.
type seat struct {
	slot   bool           // one of the slots for confirmations
	owner  string         // the tenant in whose share the slot is, or nobody
	waiter *waiter        // a place among those that wait for the account
	lent   sync.WaitGroup // is waited for before the task goes on: the slot is being given back meanwhile
}

// takeSlot makes sure that the task has one of the pod's slots, within its tenant's share.
func (t *task) takeSlot() bool {
	switch s := &t.seat; {
	case s.owner != nobody:
		return true
	case s.slot && t.w.slots.assign(t.d.Lane, t.job.Tenant):
	case !s.slot && t.w.slots.tryAcquire(t.d.Lane, t.job.Tenant, 1) == 1:
		t.w.room.leave(t.job)
	default:
		return false
	}
	t.seat.slot, t.seat.owner = true, t.job.Tenant
	return true
}

func (t *task) freeSlot() {
	if t.seat.slot {
		t.w.slots.release(t.d.Lane, t.seat.owner, 1)
	}
	t.seat.slot, t.seat.owner = false, nobody
}

// park gives the slot back and counts the task among those that wait, for something that fails
// or not. It returns false when there is no room for it.
func (t *task) park(failing bool) bool {
	if !t.w.room.enter(t.job, failing) {
		return false
	}
	t.claim.reserved = false
	t.freeSlot()
	return true
}

// lending calls do, and gives the slot back when that takes long, as long as there is room
// to wait: what does not answer may be what this job alone depends on.
func (t *task) lending(do func() error) error {
	lent := &t.seat.lent
	lent.Add(1)
	timer := time.AfterFunc(lendAfter, func() {
		defer lent.Done()
		t.park(true)
	})
	defer func() {
		if timer.Stop() {
			lent.Done()
		}
		lent.Wait()
	}()
	return do()
}
