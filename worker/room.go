package worker

import "sync"

// room counts the jobs that wait in the pod without a slot. A tenant may have as much of
// it as it leaves free, and an account half as much: whoever makes thousands of jobs wait
// always leaves room for the others' jobs, and a tenant that is alone has half of it. Jobs that
// wait for something that fails, a part of the store or a gateway, may for each tenant have half
// as much as is left free, so that its jobs which just wait for a person have room, too.
type room struct {
	mu       sync.Mutex
	size     int
	used     int
	failing  map[string]int // by tenant
	tenants  map[string]int
	accounts map[string]int
}

func newRoom(size int) *room {
	return &room{size: size, failing: map[string]int{}, tenants: map[string]int{}, accounts: map[string]int{}}
}

// enter counts a job in, which waits for something that fails or not. It returns false when
// there is no room for it.
func (r *room) enter(j *Job, failing bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := r.size - r.used
	if r.tenants[j.Tenant] >= free || 2*r.accounts[j.WcID] >= free || failing && 2*r.failing[j.Tenant] >= free {
		return false
	}
	r.count(j, failing, 1)
	return true
}

// leave counts a job out that has entered so.
func (r *room) leave(j *Job, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(j, failing, -1)
}

// change has a job that has entered wait for something else from now on.
func (r *room) change(j *Job, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(j, !failing, -1)
	r.count(j, failing, 1)
}

// count is called with the lock of room held.
func (r *room) count(j *Job, failing bool, n int) {
	r.used += n
	add(r.tenants, j.Tenant, n)
	add(r.accounts, j.WcID, n)
	if failing {
		add(r.failing, j.Tenant, n)
	}
}

func add(counts map[string]int, name string, n int) {
	if counts[name] += n; counts[name] == 0 {
		delete(counts, name)
	}
}
