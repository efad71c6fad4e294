package worker

import (
	"container/list"
	"context"
	"sync"
)

// slots bounds how many confirmations the pod holds open. An eighth is kept for each
// lane, so that neither fills the pod alone; whoever waits first is served first. Each
// operation costs the same, however many wait.
type slots struct {
	mu       sync.Mutex
	total    int
	reserved int // for each lane
	used     map[Lane]int
	waiting  map[Lane]*list.List // of *slotWait, in their order
	tickets  uint64
}

type slotWait struct {
	lane    Lane
	want    int
	ticket  uint64   // tells who came first
	granted chan int // buffered: the grant never waits for the taker
}

func newSlots(total int) *slots {
	s := &slots{total: total, used: map[Lane]int{}, waiting: map[Lane]*list.List{Urgent: list.New(), Normal: list.New()}}
	if total > 1 {
		s.reserved = max(1, total/8)
	}
	return s
}

// acquire takes between one and want slots and returns how many. It blocks until
// there is one; the error is ctx's cause.
func (s *slots) acquire(ctx context.Context, lane Lane, want int) (int, error) {
	if n := s.tryAcquire(lane, want); n > 0 {
		return n, nil
	}
	w := &slotWait{lane: lane, want: want, granted: make(chan int, 1)}
	place := s.enqueue(w)
	select {
	case n := <-w.granted:
		return n, nil
	case <-ctx.Done():
		s.abandon(w, place)
		return 0, context.Cause(ctx)
	}
}

// tryAcquire takes as many slots as are free, up to want, and returns how many: none
// while others of the lane wait.
func (s *slots) tryAcquire(lane Lane, want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(want, s.free(lane))
	if s.waiting[lane].Len() > 0 || n < 1 {
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

func (s *slots) enqueue(w *slotWait) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets++
	w.ticket = s.tickets
	place := s.waiting[w.lane].PushBack(w)
	s.serve()
	return place
}

// abandon takes a waiter out of its queue, or gives back what it was granted meanwhile.
func (s *slots) abandon(w *slotWait, place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case n := <-w.granted:
		s.used[w.lane] -= n
	default:
		s.waiting[w.lane].Remove(place)
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

// serve gives free slots to those who wait, in their order; a lane that is at its
// bound does not hold up the other. s.mu is held.
func (s *slots) serve() {
	for {
		lane, n := s.next()
		if n < 1 {
			return
		}
		w := s.waiting[lane].Remove(s.waiting[lane].Front()).(*slotWait)
		s.used[lane] += n
		w.granted <- n
	}
}

// next returns the lane whose first waiter is to be served, and with how many slots: 0
// when there is none.
func (s *slots) next() (next Lane, n int) {
	var first uint64
	for lane, waiting := range s.waiting {
		if waiting.Len() == 0 {
			continue
		}
		w := waiting.Front().Value.(*slotWait)
		if free := min(w.want, s.free(lane)); free > 0 && (n == 0 || w.ticket < first) {
			next, n, first = lane, free, w.ticket
		}
	}
	return next, n
}
