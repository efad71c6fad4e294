package worker

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/relogin/relogin/worker/job"
)

func alone() bool  { return false }
func others() bool { return true }

func TestSlotsKeepAnEighthForEachLane(t *testing.T) {
	s := newSlots(16, alone)
	if n, _ := s.acquire(t.Context(), job.Normal, nobody, 100); n != 14 {
		t.Errorf("normal got %d of 16", n)
	}
	if s.tryAcquire(job.Normal, nobody, 1) > 0 {
		t.Error("normal got a slot that is kept for urgent")
	}
	if n, _ := s.acquire(t.Context(), job.Urgent, nobody, 100); n != 2 {
		t.Errorf("urgent got %d of the 2 that are left", n)
	}
	s.release(job.Normal, nobody, 14)
	if n, _ := s.acquire(t.Context(), job.Urgent, nobody, 100); n != 12 {
		t.Errorf("urgent got %d, want all but the 2 kept for normal", n)
	}
}

func TestOneSlotServesBothLanes(t *testing.T) {
	s := newSlots(1, alone)
	for _, lane := range []job.Lane{job.Normal, job.Urgent, job.Normal} {
		if n, _ := s.acquire(t.Context(), lane, nobody, 5); n != 1 {
			t.Fatalf("%s got %d", lane, n)
		}
		s.release(lane, nobody, 1)
	}
}

func TestSlotsGoToWhoWaitsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2, alone)
		first, _ := s.acquire(t.Context(), job.Normal, nobody, 2) // one is kept for urgent
		got := make(chan job.Lane, 3)
		for _, lane := range []job.Lane{job.Normal, job.Normal} {
			go func() {
				if _, err := s.acquire(t.Context(), lane, nobody, 1); err == nil {
					got <- lane
				}
			}()
			synctest.Wait()
		}
		// A lane at its bound holds up no other.
		if n, _ := s.acquire(t.Context(), job.Urgent, nobody, 1); n != 1 {
			t.Fatal("urgent waits behind normal")
		}
		s.release(job.Normal, nobody, first)
		synctest.Wait()
		if len(got) != 1 {
			t.Fatalf("%d were served by one slot", len(got))
		}
		s.release(job.Normal, nobody, 1)
		synctest.Wait()
		if len(got) != 2 {
			t.Fatalf("%d were served by two slots", len(got))
		}
	})
}

// Whoever gives up leaves no slot behind, though it was granted one at that moment.
func TestSlotsOfWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, alone)
		if s.tryAcquire(job.Normal, nobody, 1) == 0 {
			t.Fatal("no slot")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		failed := make(chan error, 1)
		go func() {
			_, err := s.acquire(ctx, job.Urgent, nobody, 1)
			failed <- err
		}()
		synctest.Wait()
		cancel(stop)
		if err := <-failed; !errors.Is(err, stop) {
			t.Errorf("error %v", err)
		}
		// Granted and given up at once.
		w := &slotWait{want: 1, granted: make(chan int, 1)}
		s.enqueue(job.Urgent, nobody, w)
		s.release(job.Normal, nobody, 1)
		s.abandon(job.Urgent, nobody, w)
		if urgent, normal := s.lanes[job.Urgent], s.lanes[job.Normal]; urgent.used != 0 || normal.used != 0 || len(urgent.taking.waiting) != 0 {
			t.Errorf("left: %d urgent, %d normal, %d waiting", urgent.used, normal.used, len(urgent.taking.waiting))
		}
	})
}

// Serving those who wait costs the same for each, however many they are. Where it does not
// this test does not end: with a cost that grew with their number, 32,768 took 27 s.
func TestServingSlotsIsLinear(t *testing.T) {
	const waiters = 1 << 18
	s := newSlots(2, alone)
	s.tryAcquire(job.Normal, nobody, 1)
	for range waiters {
		s.enqueue(job.Normal, "t", &slotWait{want: 1, granted: make(chan int, 1)})
	}
	for range waiters {
		s.release(job.Normal, nobody, 1)
	}
	if left := len(s.lanes[job.Normal].waiting); left != 0 {
		t.Errorf("%d of %d were not served", left, waiters)
	}
}

// Each of many tenants has jobs that wait: who is served next costs about the same as among
// two.
func TestServingTenantsIsLinear(t *testing.T) {
	const tenants, each = 1 << 14, 8
	s := newSlots(64, others)
	s.tryAcquire(job.Normal, nobody, 56)
	var jobs sync.WaitGroup
	for i := range tenants * each {
		jobs.Go(func() {
			tenant := strconv.Itoa(i % tenants)
			if _, err := s.acquire(t.Context(), job.Normal, tenant, 1); err != nil {
				t.Error(err)
			}
			s.release(job.Normal, tenant, 1)
		})
	}
	s.release(job.Normal, nobody, 56)
	jobs.Wait()
	if l := s.lanes[job.Normal]; len(l.waiting) != 0 || len(l.tenants) != 0 || l.used != 0 || l.open != 0 {
		t.Errorf("%d tenants wait, %d are known, %d slots are used, %d open", len(l.waiting), len(l.tenants), l.used, l.open)
	}
}

// The tenant that has most leaves others an eighth of a lane's slots, and twice as many as they
// had; another one leaves as many as it has. What waits beyond that holds up no other tenant.
func TestTenantLeavesSlots(t *testing.T) {
	s := newSlots(512, others) // 448 for each lane alone
	taken := s.tryAcquire(job.Normal, nobody, 1000)
	open := func(lane job.Lane, tenant string) (n int) {
		for s.tryAcquire(lane, tenant, 1) == 1 {
			n++
		}
		return n
	}
	assigned := 0
	for s.assign(job.Normal, "greedy") {
		assigned++
	}
	s.release(job.Normal, nobody, taken-assigned)
	if taken != 448 || assigned != 392 {
		t.Errorf("of %d slots the tenant got %d, want 392 of 448", taken, assigned)
	}
	waits := &slotWait{want: 1, granted: make(chan int, 1)}
	s.enqueue(job.Normal, "greedy", waits)
	if second, third, urgent := open(job.Normal, "second"), open(job.Normal, "third"), open(job.Urgent, "greedy"); second != 28 || third != 14 || urgent != 54 {
		t.Errorf("the next tenants got %d and %d, urgent jobs %d, want 28, 14 and 54", second, third, urgent)
	}
	if len(waits.granted) > 0 {
		t.Error("the first tenant got more than it leaves free")
	}
	for range 28 {
		s.release(job.Normal, "second", 1)
	}
	for range 14 {
		s.release(job.Normal, "third", 1)
	}
	for range 54 {
		s.release(job.Urgent, "greedy", 1)
	}
	for range 28 { // 84 are free: twice the 42 that others had open
		s.release(job.Normal, "greedy", 1)
	}
	if len(waits.granted) != 0 {
		t.Error("the first tenant left fewer free than the others had open, twice")
	}
	s.release(job.Normal, "greedy", 1)
	if len(waits.granted) != 1 {
		t.Error("of a free slot within the tenant's share its waiting job got nothing")
	}
}

// A tenant that is alone has all of a lane's slots.
func TestOnlyTenantHasAllSlots(t *testing.T) {
	s := newSlots(16, alone)
	n := 0
	for s.tryAcquire(job.Normal, "t", 1) == 1 {
		n++
	}
	if n != 14 {
		t.Errorf("it got %d of 14", n)
	}
}

// Thousands of jobs that may go on at once do not keep new ones waiting.
func TestNewJobsGetEverySecondSlot(t *testing.T) {
	s := newSlots(8, alone)
	s.tryAcquire(job.Normal, nobody, 7)
	for range 1000 {
		s.enqueue(job.Normal, "t", &slotWait{want: 1, granted: make(chan int, 1)})
	}
	taking := &slotWait{want: 256, granted: make(chan int, 1)}
	s.enqueue(job.Normal, nobody, taking)
	s.release(job.Normal, nobody, 1)
	s.release(job.Normal, nobody, 1)
	if len(taking.granted) != 1 {
		t.Error("of two slots none was for new jobs")
	}
}
