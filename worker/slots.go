package worker

import (
	"container/heap"
	"container/list"
	"context"
	"sync"
	"time"
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
// in the order of their coming. Each operation costs about the same, however many wait.
type slots struct {
	mu       sync.Mutex
	total    int
	reserved int         // for each lane
	shared   func() bool // whether there is more than one tenant
	used     slotCount   // by jobs, and by requests for jobs
	open     slotCount   // those of them that are counted for tenants
	queues   []*slotQueue
	grants   uint64
}

const (
	largestShare = 7               // times as many slots as it leaves free the tenant with most may have open
	intake       = 24              // slots are enough to look at a flood of jobs that can't go on
	lately       = 5 * time.Minute // to twice as long counts how many the others had open
)

type slotCount map[Lane]int

func newSlots(total int, shared func() bool) *slots {
	s := &slots{total: total, shared: shared, used: slotCount{}, open: slotCount{}}
	for _, lane := range []Lane{Urgent, Normal} {
		for _, jobs := range []bool{false, true} {
			s.queues = append(s.queues, &slotQueue{lane: lane, jobs: jobs, tenants: map[string]*slotTenant{}})
		}
	}
	if total > 1 {
		s.reserved = max(1, total/8)
	}
	return s
}

// acquire takes between one and want slots, for jobs to be taken, and returns how many.
// It blocks until there is one; the error is ctx's cause.
func (s *slots) acquire(ctx context.Context, lane Lane, want int) (int, error) {
	return s.wait(ctx, s.queue(lane, false), "", want)
}

// acquireFor takes a slot for a confirmation of the tenant. It blocks as acquire does.
func (s *slots) acquireFor(ctx context.Context, lane Lane, tenant string) error {
	_, err := s.wait(ctx, s.queue(lane, true), tenant, 1)
	return err
}

// tryAcquire takes as many slots as are free, up to want, and returns how many.
func (s *slots) tryAcquire(lane Lane, want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := max(0, min(want, s.free(lane, s.used))) // who waits could not have it, or would have had it
	s.used[lane] += n
	return n
}

// tryAcquireFor takes a slot for a confirmation of the tenant, and returns whether it got
// one.
func (s *slots) tryAcquireFor(lane Lane, tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free(lane, s.used) < 1 || !s.count(lane, tenant) {
		return false
	}
	s.used[lane]++
	return true
}

// assign makes a slot that was taken for a job one for a confirmation of the tenant. It
// returns false when the tenant has its share already.
func (s *slots) assign(lane Lane, tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(lane, tenant)
}

// release gives back slots that are no tenant's.
func (s *slots) release(lane Lane, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[lane] -= n
	s.serve()
}

// releaseFor gives back a slot of the tenant's.
func (s *slots) releaseFor(lane Lane, tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discount(lane, tenant)
	s.serve()
}

func (s *slots) queue(lane Lane, jobs bool) *slotQueue {
	for _, q := range s.queues {
		if q.lane == lane && q.jobs == jobs {
			return q
		}
	}
	panic("unknown lane " + string(lane))
}

func (s *slots) wait(ctx context.Context, q *slotQueue, tenant string, want int) (int, error) {
	w := &slotWait{want: want, granted: make(chan int, 1)}
	place := s.enqueue(q, tenant, w)
	select {
	case n := <-w.granted:
		return n, nil
	case <-ctx.Done():
		s.abandon(q, tenant, w, place)
		return 0, context.Cause(ctx)
	}
}

func (s *slots) enqueue(q *slotQueue, tenant string, w *slotWait) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := q.tenant(tenant)
	place := t.waiting.PushBack(w)
	if t.waiting.Len() == 1 {
		heap.Push(&q.waiting, t)
	}
	s.serve()
	return place
}

// abandon takes a waiter out of its queue, or gives back what it was granted meanwhile.
func (s *slots) abandon(q *slotQueue, tenant string, w *slotWait, place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case n := <-w.granted:
		if q.jobs {
			s.discount(q.lane, tenant)
		} else {
			s.used[q.lane] -= n
		}
	default:
		t := q.tenant(tenant)
		t.waiting.Remove(place)
		if t.waiting.Len() == 0 {
			heap.Remove(&q.waiting, t.place)
		}
		q.forget(t)
	}
	s.serve()
}

// count counts a confirmation for the tenant, unless it has its share. s.mu is held.
func (s *slots) count(lane Lane, tenant string) bool {
	q := s.queue(lane, true)
	t := q.tenant(tenant)
	if !s.may(q, t) {
		q.forget(t)
		return false
	}
	s.counted(q, t, 1)
	return true
}

// discount gives back a slot that was counted for the tenant. s.mu is held.
func (s *slots) discount(lane Lane, tenant string) {
	q := s.queue(lane, true)
	t := q.tenant(tenant)
	s.used[lane]--
	s.counted(q, t, -1)
	q.forget(t)
}

func (s *slots) counted(q *slotQueue, t *slotTenant, more int) {
	s.open[q.lane] += more
	t.open += more
	if q.most == nil || t.open > q.most.open {
		q.most = t
	}
	q.others.note(s.open[q.lane] - q.most.open)
	if t.waiting.Len() > 0 {
		heap.Fix(&q.waiting, t.place)
	}
}

// free is how many slots the lane may take now: the rest of the pod, less what is
// kept for the other lane.
func (s *slots) free(lane Lane, taken slotCount) int {
	all, others := s.total, 0
	for l, n := range taken {
		all -= n
		if l != lane {
			others += n
		}
	}
	return all - max(0, s.reserved-others)
}

// may returns whether the tenant's share allows for one more. Slots that are held for jobs
// which are still to be taken count as free: nobody knows yet whose they are.
func (s *slots) may(q *slotQueue, t *slotTenant) bool {
	free := s.free(q.lane, s.open)
	if t.open < free || !s.shared() {
		return true
	}
	others := s.open[q.lane] - t.open
	return t == q.most && free > intake && t.open < largestShare*free && free+others > 2*q.others.lately()
}

// serve gives free slots to those who wait; a lane that is at its bound does not hold up
// the other, nor does a tenant. s.mu is held.
func (s *slots) serve() {
	for q := s.next(); q != nil; q = s.next() {
		t := q.waiting[0]
		w := t.waiting.Remove(t.waiting.Front()).(*slotWait)
		if t.waiting.Len() == 0 {
			heap.Remove(&q.waiting, t.place)
		}
		n := min(w.want, s.free(q.lane, s.used))
		s.used[q.lane] += n
		s.grants++
		q.served, t.served = s.grants, s.grants
		if q.jobs {
			s.counted(q, t, n)
		} else {
			q.forget(t)
		}
		w.granted <- n
	}
}

// next returns the queue that is to be served: of those that can be the one that was
// served least lately, nil when there is none.
func (s *slots) next() (next *slotQueue) {
	for _, q := range s.queues {
		if len(q.waiting) > 0 && s.free(q.lane, s.used) > 0 && s.may(q, q.waiting[0]) && (next == nil || q.served < next.served) {
			next = q
		}
	}
	return next
}
