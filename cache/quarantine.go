package cache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// cutOff is for how long a master that was cut off may still grant to the pods on its
// side after a replica was promoted: min-replicas-max-lag, which is 10 s by default and
// looked at once a second, and some to spare.
const cutOff = 15 * time.Second

// quarantine is how long this process must not begin, because of a server that it
// connected to. In a Cluster that is about the accounts in the server's slots.
type quarantine struct {
	*Options
	cluster bool
	start   time.Time               // with its monotonic reading, the zero of until
	until   [slots + 1]atomic.Int64 // for each slot and [anySlot]: nanoseconds after start, 0 for no wait
	lead    atomic.Int64            // nanoseconds by which the server's clock is ahead of ours

	evicting sync.Map     // the names of servers that may evict locks
	evictors atomic.Int32 // how many these are

	mu    sync.Mutex
	known map[string]bool // names whose wait is in until
}

func newQuarantine(o *Options) *quarantine {
	return &quarantine{Options: o, start: time.Now(), known: make(map[string]bool)}
}

// anySlot stands for the account's slot outside of a Cluster, and for the slot that waits longest.
const anySlot = slots

// wait returns how long nothing may be begun for accounts in the slot, 0 when its server
// is trusted.
func (q *quarantine) wait(slot int) time.Duration {
	var wait time.Duration
	if q.Incarnations != nil {
		wait = q.Incarnations.Suspended()
	}
	if q.evictors.Load() > 0 {
		wait = max(wait, q.watchEvery)
	}
	if end := q.until[slot].Load(); end != 0 {
		wait = max(wait, time.Duration(end)-time.Since(q.start))
	}
	return wait
}

// admit suspends the server's slots until its grants count, once for each name.
func (q *quarantine) admit(ctx context.Context, kind, name string, now time.Time, extra time.Duration, cn server) error {
	q.mu.Lock()
	known := q.known[name]
	q.mu.Unlock()
	if known {
		return nil
	}
	from, err := q.Incarnations.LockDelayEnds(ctx, kind, name, now, extra)
	if err != nil {
		return fmt.Errorf("ask whether %s %s is trusted: %w", kind, name, err)
	}
	wait := from.Sub(now)
	var its []int
	if wait > 0 {
		its = q.slotsOf(ctx, cn)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[name] { // by another connection, just now
		return nil
	}
	q.known[name] = true
	if wait > 0 {
		until := int64(time.Since(q.start) + wait)
		for _, slot := range append(its, anySlot) { // slots keep waiting when they move to another server
			q.until[slot].Store(max(q.until[slot].Load(), until))
		}
		q.Logger.WarnContext(ctx, "redis was restarted, wiped or failed over and may have lost locks: no confirmation starts for now",
			kind, name, "for", wait.Round(time.Millisecond), "slots", len(its))
	}
	return nil
}
