package worker

import (
	"container/list"
	"context"
	"sync"
)

// slots bounds how many confirmations the pod holds open. An eighth is kept for each
// lane, so that neither fills the pod alone. Those who wait for a slot stand in four
// queues: of each lane those that want to take jobs, and jobs that have waited for
// something else. The queues are served in turn, so that thousands of jobs which may go on
// at once do not keep new ones waiting, and each in its own order. Each operation costs
// the same, however many wait.
type slots struct {
	mu       sync.Mutex
	total    int
	reserved int // for each lane
	used     map[Lane]int
	queues   []*slotQueue
	grants   uint64
}

type slotQueue struct {
	lane    Lane
	jobs    bool // they have a job already
	waiting list.List
	served  uint64 // the number of the last grant to this queue
}

type slotWait struct {
	want    int
	granted chan int // buffered: the grant never waits for the taker
}

func newSlots(total int) *slots {
	s := &slots{total: total, used: map[Lane]int{}}
	for _, lane := range []Lane{Urgent, Normal} {
		s.queues = append(s.queues, &slotQueue{lane: lane}, &slotQueue{lane: lane, jobs: true})
	}
	if total > 1 {
		s.reserved = max(1, total/8)
	}
	return s
}

// acquire takes between one and want slots, for jobs to be taken, and returns how many.
// It blocks until there is one; the error is ctx's cause.
func (s *slots) acquire(ctx context.Context, lane Lane, want int) (int, error) {
	return s.wait(ctx, s.queue(lane, false), want)
}

// acquireFor takes a slot for a job that was taken before. It blocks as acquire does.
func (s *slots) acquireFor(ctx context.Context, lane Lane) error {
	_, err := s.wait(ctx, s.queue(lane, true), 1)
	return err
}

func (s *slots) queue(lane Lane, jobs bool) *slotQueue {
	for _, q := range s.queues {
		if q.lane == lane && q.jobs == jobs {
			return q
		}
	}
	panic("unknown lane " + string(lane))
}

func (s *slots) wait(ctx context.Context, q *slotQueue, want int) (int, error) {
	w := &slotWait{want: want, granted: make(chan int, 1)}
	place := s.enqueue(q, w)
	select {
	case n := <-w.granted:
		return n, nil
	case <-ctx.Done():
		s.abandon(q, w, place)
		return 0, context.Cause(ctx)
	}
}

// tryAcquire takes as many slots as are free, up to want, and returns how many: none
// while others of the lane wait.
func (s *slots) tryAcquire(lane Lane, want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(want, s.free(lane))
	if n < 1 || s.queue(lane, false).waiting.Len()+s.queue(lane, true).waiting.Len() > 0 {
		return 0
	}
	s.used[lane] += n
	return n
}

func (s *slots) release(lane Lane, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[lane] -= n
	s.serve()
}

func (s *slots) enqueue(q *slotQueue, w *slotWait) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := q.waiting.PushBack(w)
	s.serve()
	return place
}

// abandon takes a waiter out of its queue, or gives back what it was granted meanwhile.
func (s *slots) abandon(q *slotQueue, w *slotWait, place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case n := <-w.granted:
		s.used[q.lane] -= n
	default:
		q.waiting.Remove(place)
	}
	s.serve()
}

// free is how many slots the lane may take now: the rest of the pod, less what is
// kept for the other lane.
func (s *slots) free(lane Lane) int {
	all, others := s.total, 0
	for l, n := range s.used {
		all -= n
		if l != lane {
			others += n
		}
	}
	return all - max(0, s.reserved-others)
}

// serve gives free slots to those who wait; a lane that is at its bound does not hold up
// the other. s.mu is held.
func (s *slots) serve() {
	for q := s.next(); q != nil; q = s.next() {
		w := q.waiting.Remove(q.waiting.Front()).(*slotWait)
		n := min(w.want, s.free(q.lane))
		s.used[q.lane] += n
		s.grants++
		q.served = s.grants
		w.granted <- n
	}
}

// next returns the queue that is to be served: of those that can be the one that was
// served least lately, nil when there is none.
func (s *slots) next() (next *slotQueue) {
	for _, q := range s.queues {
		if q.waiting.Len() > 0 && s.free(q.lane) > 0 && (next == nil || q.served < next.served) {
			next = q
		}
	}
	return next
}
