package worker

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/worker/job"
)

// takeSlot makes sure that the task has one of the pod's slots, within its tenant's share.
func (t *task) takeSlot() bool {
	switch {
	case t.slotOwner != nobody:
		return true
	case t.slot && t.w.slots.assign(t.d.Lane, t.job.Tenant):
	case !t.slot && t.w.slots.tryAcquire(t.d.Lane, t.job.Tenant, 1) == 1:
		t.w.room.leave(t.job)
	default:
		return false
	}
	t.slot, t.slotOwner = true, t.job.Tenant
	return true
}

func (t *task) freeSlot() {
	if t.slot {
		t.w.slots.release(t.d.Lane, t.slotOwner, 1)
	}
	t.slot, t.slotOwner = false, nobody
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
	t.lent.Add(1)
	timer := time.AfterFunc(lendAfter, func() {
		defer t.lent.Done()
		t.park(true)
	})
	defer func() {
		if timer.Stop() {
			t.lent.Done()
		}
		t.lent.Wait()
	}()
	return do()
}

// room counts the jobs that wait in the pod without a slot. A tenant may have as much of
// it as it leaves free, and an account half as much: whoever makes thousands of jobs wait
// always leaves room for the others' jobs, and a tenant that is alone has half of it. Jobs that
// wait for something that fails, a part of the store or a gateway, may for each tenant have half
// as much as is left free, so that its jobs which just wait for a person have room, too.
type room struct {
	mu       sync.Mutex
	size     int
	parked   prometheus.Gauge
	jobs     map[*job.Job]bool // those that wait, and whether for something that fails
	failing  map[string]int    // how many do, by tenant
	tenants  map[string]int
	accounts map[string]int
}

func newRoom(size int, parked prometheus.Gauge) *room {
	return &room{size: size, parked: parked, jobs: map[*job.Job]bool{}, failing: map[string]int{}, tenants: map[string]int{}, accounts: map[string]int{}}
}

// enter has a job wait, for something that fails or not. It returns false when there is no
// room for it. One that waits already may wait for something else.
func (r *room) enter(j *job.Job, failing bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, waits := r.jobs[j]
	free := r.size - len(r.jobs)
	switch {
	case waits:
		r.count(j, before, -1)
	case r.tenants[j.Tenant] >= free, 2*r.accounts[j.WcID] >= free, failing && 2*r.failing[j.Tenant] >= free:
		return false
	}
	r.jobs[j] = failing
	r.count(j, failing, 1)
	return true
}

// crowded tells whether so many jobs wait that more of a lane that is paused stay in the queue:
// few enough that each of those here has room.
func (r *room) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 4*len(r.jobs) >= r.size
}

// leave has the job wait no longer, if it does.
func (r *room) leave(j *job.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failing, waits := r.jobs[j]; waits {
		delete(r.jobs, j)
		r.count(j, failing, -1)
	}
}

// count is called with the lock of room held.
func (r *room) count(j *job.Job, failing bool, n int) {
	add(r.tenants, j.Tenant, n)
	add(r.accounts, j.WcID, n)
	if failing {
		add(r.failing, j.Tenant, n)
	}
	r.parked.Set(float64(len(r.jobs)))
}

func add(counts map[string]int, name string, n int) {
	if counts[name] += n; counts[name] == 0 {
		delete(counts, name)
	}
}
