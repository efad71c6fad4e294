package worker

import (
	"context"
	"sync"
)

// slots bounds how many confirmations the pod holds open. An eighth is kept for each
// lane, so that neither fills the pod alone; whoever waits first is served first.
type slots struct {
	mu       sync.Mutex
	total    int
	reserved int // for each lane
	used     map[Lane]int
	waiting  []*slotWait
}

type slotWait struct {
	lane    Lane
	want    int
	granted chan int // buffered: the grant never waits for the taker
}

func newSlots(total int) *slots {
	s := &slots{total: total, used: map[Lane]int{}}
	if total > 1 {
		s.reserved = max(1, total/8)
	}
	return s
}

// acquire takes between one and want slots and returns how many. It blocks until
// there is one; the error is ctx's cause.
func (s *slots) acquire(ctx context.Context, lane Lane, want int) (int, error) {
	s.mu.Lock()
	if n := min(want, s.free(lane)); n > 0 && len(s.waiting) == 0 {
		s.used[lane] += n
		s.mu.Unlock()
		return n, nil
	}
	w := &slotWait{lane: lane, want: want, granted: make(chan int, 1)}
	s.waiting = append(s.waiting, w)
	s.serve()
	s.mu.Unlock()

	select {
	case n := <-w.granted:
		return n, nil
	case <-ctx.Done():
		s.abandon(w)
		return 0, context.Cause(ctx)
	}
}

// tryAcquire takes as many slots as are free, up to want, and returns how many.
func (s *slots) tryAcquire(lane Lane, want int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(want, s.free(lane))
	if len(s.waiting) > 0 || n < 1 {
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

func (s *slots) abandon(w *slotWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.waiting {
		if other == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			s.serve()
			return
		}
	}
	s.used[w.lane] -= <-w.granted
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
	left := s.waiting[:0]
	for _, w := range s.waiting {
		n := min(w.want, s.free(w.lane))
		if n < 1 {
			left = append(left, w)
			continue
		}
		s.used[w.lane] += n
		w.granted <- n
	}
	clear(s.waiting[len(left):])
	s.waiting = left
}
