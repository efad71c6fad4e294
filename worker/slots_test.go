package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestSlotsKeepAnEighthForEachLane(t *testing.T) {
	s := newSlots(16)
	if n, _ := s.acquire(t.Context(), Normal, 100); n != 14 {
		t.Errorf("normal got %d of 16", n)
	}
	if s.tryAcquire(Normal, 1) > 0 {
		t.Error("normal got a slot that is kept for urgent")
	}
	if n, _ := s.acquire(t.Context(), Urgent, 100); n != 2 {
		t.Errorf("urgent got %d of the 2 that are left", n)
	}
	s.release(Normal, 14)
	if n, _ := s.acquire(t.Context(), Urgent, 100); n != 12 {
		t.Errorf("urgent got %d, want all but the 2 kept for normal", n)
	}
}

func TestOneSlotServesBothLanes(t *testing.T) {
	s := newSlots(1)
	for _, lane := range []Lane{Normal, Urgent, Normal} {
		if n, _ := s.acquire(t.Context(), lane, 5); n != 1 {
			t.Fatalf("%s got %d", lane, n)
		}
		s.release(lane, 1)
	}
}

func TestSlotsGoToWhoWaitsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		first, _ := s.acquire(t.Context(), Normal, 2) // one is kept for urgent
		got := make(chan Lane, 3)
		for _, lane := range []Lane{Normal, Normal} {
			go func() {
				if _, err := s.acquire(t.Context(), lane, 1); err == nil {
					got <- lane
				}
			}()
			synctest.Wait()
		}
		// A lane at its bound holds up no other.
		if n, _ := s.acquire(t.Context(), Urgent, 1); n != 1 {
			t.Fatal("urgent waits behind normal")
		}
		s.release(Normal, first)
		synctest.Wait()
		if len(got) != 1 {
			t.Fatalf("%d were served by one slot", len(got))
		}
		s.release(Normal, 1)
		synctest.Wait()
		if len(got) != 2 {
			t.Fatalf("%d were served by two slots", len(got))
		}
	})
}

// Whoever gives up leaves no slot behind, though it was granted one at that moment.
func TestSlotsOfWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		if s.tryAcquire(Normal, 1) == 0 {
			t.Fatal("no slot")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		failed := make(chan error, 1)
		go func() {
			_, err := s.acquire(ctx, Urgent, 1)
			failed <- err
		}()
		synctest.Wait()
		cancel(stop)
		if err := <-failed; !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
		// Granted and given up at once.
		w, q := &slotWait{want: 1, granted: make(chan int, 1)}, s.queue(Urgent, false)
		place := s.enqueue(q, w)
		s.release(Normal, 1)
		s.abandon(q, w, place)
		if s.used[Urgent] != 0 || s.used[Normal] != 0 || q.waiting.Len() != 0 {
			t.Errorf("left: %v, %d waiting", s.used, q.waiting.Len())
		}
	})
}

// Serving those who wait costs the same for each, however many they are. Where it does not
// this test does not end: with a cost that grew with their number, 32,768 took 27 s.
func TestServingSlotsIsLinear(t *testing.T) {
	const waiters = 1 << 18
	s := newSlots(2)
	s.tryAcquire(Normal, 1)
	q := s.queue(Normal, true)
	for range waiters {
		s.enqueue(q, &slotWait{want: 1, granted: make(chan int, 1)})
	}
	for range waiters {
		s.release(Normal, 1)
	}
	if left := q.waiting.Len(); left != 0 {
		t.Errorf("%d of %d were not served", left, waiters)
	}
}

// Thousands of jobs that may go on at once do not keep new ones waiting.
func TestNewJobsGetEverySecondSlot(t *testing.T) {
	s := newSlots(8)
	s.tryAcquire(Normal, 7)
	for range 1000 {
		s.enqueue(s.queue(Normal, true), &slotWait{want: 1, granted: make(chan int, 1)})
	}
	taking := &slotWait{want: 256, granted: make(chan int, 1)}
	s.enqueue(s.queue(Normal, false), taking)
	s.release(Normal, 1)
	s.release(Normal, 1)
	if len(taking.granted) != 1 {
		t.Error("of two slots none was for new jobs")
	}
}
