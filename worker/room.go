package worker

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// room counts the jobs that wait in the pod without a slot. A tenant may have as much of
// it as it leaves free, and an account half as much: whoever makes thousands of jobs wait
// always leaves room for the others' jobs, and a tenant that is alone has half of it. Jobs that
// wait for something that fails, a part of the store or a gateway, may for each tenant have half
// as much as is left free, so that its jobs which just wait for a person have room, too.
type room struct {
	mu       sync.Mutex
	size     int
	parked   prometheus.Gauge
	jobs     map[*Job]bool  // those that wait, and whether for something that fails
	failing  map[string]int // how many do, by tenant
	tenants  map[string]int
	accounts map[string]int
}

func newRoom(size int, parked prometheus.Gauge) *room {
	return &room{size: size, parked: parked, jobs: map[*Job]bool{}, failing: map[string]int{}, tenants: map[string]int{}, accounts: map[string]int{}}
}

// enter has a job wait, for something that fails or not. It returns false when there is no
// room for it. One that waits already may wait for something else.
func (r *room) enter(j *Job, failing bool) bool {
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

// leave has the job wait no longer, if it does.
func (r *room) leave(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failing, waits := r.jobs[j]; waits {
		delete(r.jobs, j)
		r.count(j, failing, -1)
	}
}

// count is called with the lock of room held.
func (r *room) count(j *Job, failing bool, n int) {
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
