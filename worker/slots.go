package worker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/relogin/relogin/worker/job"
)

const (
	largestShare = 7               // times as many slots as it leaves free the tenant with most may have open
	intake       = 24              // slots are enough to look at a flood of jobs that can't go on
	lately       = 5 * time.Minute // to twice as long counts how many the others had open
)

// slots bounds how many confirmations the pod holds open. An eighth is kept for each
// lane, so that neither fills the pod alone. Where there is more than one tenant, each leaves as
// many of a lane's slots free as it has open. The one that has most may have more, as long as
// it leaves an eighth of them, twice as many as the others have lately had open at once, and
// enough to take new jobs with: people or a gateway that never answer hold up their own
// tenant's jobs.
//
// Those who wait for a slot stand in four queues: of each lane those that want to take
// jobs, and jobs that have waited for something else. The queues are served in turn, so
// that thousands of jobs which may go on at once do not keep new ones waiting. Of jobs,
// those of the tenant that has the fewest confirmations open come first, and a tenant's
// in the order of their coming. Each operation costs about the same, however many jobs wait.
type slots struct {
	mu       sync.Mutex
	total    int
	reserved int         // for each lane
	shared   func() bool // whether there is more than one tenant
	lanes    map[job.Lane]*slotLane
	grants   uint64
}

// slotLane is what one lane has of the slots.
type slotLane struct {
	other *slotLane
	used  int // slots: by jobs, and by requests for jobs
	open  int // those of them that are counted for tenants

	tenants map[string]*slotTenant
	waiting []*slotTenant // those of whom jobs wait, in the order in which they are served
	served  uint64        // the number of the last grant to one of them
	taking  slotTenant    // those that wait for slots to take jobs with; it has nothing open

	most   *slotTenant // the tenant with most confirmations open
	others peak        // how many the others had open
}

type slotTenant struct {
	name    string
	open    int // how many confirmations it has open
	waiting []*slotWait
	served  uint64 // the number of the last grant to it
}

// slotWait is one that waits for so many slots, and is told how many it got.
type slotWait struct {
	want    int
	granted chan int // buffered: the grant never waits for the taker
}

// nobody stands for the tenant of slots that are held for jobs which are still to be taken.
const nobody = ""

func newSlots(total int, shared func() bool) *slots {
	urgent, normal := &slotLane{tenants: map[string]*slotTenant{}}, &slotLane{tenants: map[string]*slotTenant{}}
	urgent.other, normal.other = normal, urgent
	urgent.most, normal.most = &urgent.taking, &normal.taking
	s := &slots{total: total, shared: shared, lanes: map[job.Lane]*slotLane{job.Urgent: urgent, job.Normal: normal}}
	if total > 1 {
		s.reserved = max(1, total/8)
	}
	return s
}

// acquire takes a slot for a confirmation of the tenant or, for nobody, between one and want
// slots, and returns how many. It blocks until there is one; the error is ctx's cause. ctx is to
// end when the pod stops, not before.
func (s *slots) acquire(ctx context.Context, lane job.Lane, tenant string, want int) (int, error) {
	w := &slotWait{want: want, granted: make(chan int, 1)}
	s.enqueue(lane, tenant, w)
	select {
	case n := <-w.granted:
		return n, nil
	case <-ctx.Done():
		s.abandon(lane, tenant, w)
		return 0, context.Cause(ctx)
	}
}

// tryAcquire takes the slots of these that are free, and within the tenant's share, and returns
// how many.
func (s *slots) tryAcquire(lane job.Lane, tenant string, want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[lane]
	n := max(0, min(want, s.free(l.used, l.other.used))) // who waits could not have it, or would have had it
	if n > 0 && tenant != nobody && !s.count(l, tenant) {
		return 0
	}
	l.used += n
	return n
}

// assign makes a slot that was taken for a job one for a confirmation of the tenant. It
// returns false when the tenant has its share already.
func (s *slots) assign(lane job.Lane, tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(s.lanes[lane], tenant)
}

// release gives back slots of the tenant's, or of nobody's.
func (s *slots) release(lane job.Lane, tenant string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lanes[lane].release(tenant, n)
	s.serve()
}

func (s *slots) enqueue(lane job.Lane, tenant string, w *slotWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[lane]
	t := l.tenant(tenant)
	l.change(t, func() { t.waiting = append(t.waiting, w) })
	s.serve()
}

// abandon has one wait no longer, or gives back what it was granted meanwhile.
func (s *slots) abandon(lane job.Lane, tenant string, w *slotWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case n := <-w.granted:
		s.lanes[lane].release(tenant, n)
		s.serve()
	default:
		w.want = 0 // it stays, as the pod stops, and is served nothing
	}
}

// free is how many slots a lane may take now that has so many, as has the other one: the rest
// of the pod, less what is kept for the other lane.
func (s *slots) free(its, others int) int { return s.total - its - max(others, s.reserved) }

// may returns whether the tenant's share allows for one more. Slots that are held for jobs
// which are still to be taken count as free: nobody knows yet whose they are.
func (s *slots) may(l *slotLane, t *slotTenant) bool {
	free := s.free(l.open, l.other.open)
	if t.open < free || !s.shared() {
		return true
	}
	others := l.open - t.open
	return t == l.most && free > intake && t.open < largestShare*free && free+others > 2*l.others.note(others)
}

// count counts a confirmation for the tenant, unless it has its share. s.mu is held.
func (s *slots) count(l *slotLane, tenant string) bool {
	t := l.tenant(tenant)
	if !s.may(l, t) {
		return false
	}
	l.count(t, 1)
	return true
}

// serve gives free slots to those who wait; a lane that is at its bound does not hold up
// the other, nor does a tenant. s.mu is held.
func (s *slots) serve() {
	for l, t := s.next(); t != nil; l, t = s.next() {
		w := t.waiting[0]
		n := min(w.want, s.free(l.used, l.other.used))
		s.grants++
		l.used += n
		l.change(t, func() { t.waiting, t.served = t.waiting[1:], s.grants })
		if t != &l.taking {
			l.served = s.grants
			l.count(t, n)
		}
		w.granted <- n
	}
}

// next returns who is to be served: of the queues that can be the one that was served least
// lately, and of tenants the first; nil when there is none.
func (s *slots) next() (lane *slotLane, tenant *slotTenant) {
	least := s.grants + 1
	for _, l := range []*slotLane{s.lanes[job.Urgent], s.lanes[job.Normal]} {
		if s.free(l.used, l.other.used) < 1 {
			continue
		}
		if len(l.taking.waiting) > 0 && l.taking.served < least {
			lane, tenant, least = l, &l.taking, l.taking.served
		}
		if len(l.waiting) > 0 && l.served < least && s.may(l, l.waiting[0]) {
			lane, tenant, least = l, l.waiting[0], l.served
		}
	}
	return lane, tenant
}

// tenant returns the tenant, which may be new, or who waits for nobody. The lock of slots is
// held, as in all methods of slotLane.
func (l *slotLane) tenant(name string) *slotTenant {
	if name == nobody {
		return &l.taking
	}
	if t := l.tenants[name]; t != nil {
		return t
	}
	return &slotTenant{name: name}
}

func (l *slotLane) release(tenant string, n int) {
	l.used -= n
	if tenant != nobody {
		l.count(l.tenant(tenant), -n)
	}
}

// count counts so many more confirmations for the tenant.
func (l *slotLane) count(t *slotTenant, more int) {
	l.change(t, func() { t.open += more })
	l.open += more
	if t.open > l.most.open {
		l.most = t
	}
	l.others.note(l.open - l.most.open)
}

// change changes the tenant, and keeps those that wait in order: whose share is used least, and
// who was served least lately, comes first. A tenant that has nothing here any more is dropped.
func (l *slotLane) change(t *slotTenant, change func()) {
	if i, waits := slices.BinarySearchFunc(l.waiting, t, compareTenants); waits {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	change()
	switch {
	case t == &l.taking:
		return
	case len(t.waiting) > 0:
		i, _ := slices.BinarySearchFunc(l.waiting, t, compareTenants)
		l.waiting = slices.Insert(l.waiting, i, t)
	case t.open == 0:
		delete(l.tenants, t.name)
		return
	}
	l.tenants[t.name] = t
}

func compareTenants(a, b *slotTenant) int {
	return cmp.Or(cmp.Compare(a.open, b.open), cmp.Compare(a.served, b.served), cmp.Compare(a.name, b.name))
}

// peak is the highest of the numbers noted lately.
type peak struct {
	since        time.Time
	now, earlier int // the highest since then, and in as long a time before
}

func (p *peak) note(n int) int {
	if past := time.Since(p.since); past > lately {
		if past > 2*lately {
			p.now = 0
		}
		p.since, p.earlier, p.now = time.Now(), p.now, 0
	}
	p.now = max(p.now, n)
	return max(p.now, p.earlier)
}
