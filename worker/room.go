package worker

import "sync"

// room counts the jobs that wait in the pod without a slot. A tenant may have as much of
// it as it leaves free, and an account half as much: whoever makes thousands of jobs wait
// always leaves room for the others' jobs, and a tenant that is alone has half of it.
type room struct {
	mu       sync.Mutex
	size     int
	used     int
	tenants  map[string]int
	accounts map[string]int
}

func newRoom(size int) *room {
	return &room{size: size, tenants: map[string]int{}, accounts: map[string]int{}}
}

// enter counts a job in. It returns false when there is no room for it.
func (r *room) enter(j *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	free := r.size - r.used
	if r.tenants[j.Tenant] >= free || 2*r.accounts[j.WcID] >= free {
		return false
	}
	r.used++
	r.tenants[j.Tenant]++
	r.accounts[j.WcID]++
	return true
}

// leave counts a job out that has entered.
func (r *room) leave(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
	decrease(r.tenants, j.Tenant)
	decrease(r.accounts, j.WcID)
}

func decrease(counts map[string]int, name string) {
	if counts[name]--; counts[name] == 0 {
		delete(counts, name)
	}
}
