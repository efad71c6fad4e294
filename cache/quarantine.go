package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// IncarnationStore remembers, outside of Redis and for all pods, each incarnation of a Redis
// server and when its lock-delay ends. One that was restarted, wiped or failed over may have
// forgotten a lock whose prompt is still open, so nobody may begin until the longest lease of
// any pod has passed since the first pod saw it. Two names tell incarnations apart: the
// process's replication id, which is new with each start and each promotion, with the number
// of keys that it has evicted; and a key that goes when the others do.
//
// LockDelayEnds returns the time, on the server's clock, from which locks of the incarnation
// with that name count. It stores a time long past for the very first name of a kind, and for
// any other name that it does not know now + extra + the longest lease that any pod may have
// granted. It returns what is stored otherwise, but never a time further ahead. Two pods that
// ask for the same name at once are told the same. now is the server's clock. The call may
// block until ctx ends; after an error nothing is granted.
//
// First has the locks of these names of a kind count from the beginning, unless the kind has a
// first name already. A Cluster that is new has several masters, of which none is newer.
//
// Suspended returns 0 while this pod's own lease is among those that count, so that it may
// grant, and otherwise after what time to ask again. It does not block.
//
// Only readings of one server's clock are compared, and pods wait for the difference on their
// own monotonic clock. A server's clock that is set back makes the wait longer; one that is set
// forward makes it shorter by as much, as it does a lease.
type IncarnationStore interface {
	LockDelayEnds(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error)
	First(ctx context.Context, kind string, names ...string) error
	Suspended() time.Duration
}

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

// The kinds of names.
const (
	process = "process" // a replication id
	memory  = "memory"  // a mark
)

// markName is of a key that names what the server remembers. begin.lua compares it with what the
// pod knows, so that nothing is granted once FLUSHALL, or whatever else, has taken the keys from a
// process that goes on. A Cluster has none: no script may read both an account's slot and the mark's.
const markName = ":mark"

// learnMark has the mark of a server admitted that told it at that time.
func (c *Client) learnMark(ctx context.Context, mark string, now time.Time) error {
	c.learning.Lock() // one asks for all
	defer c.learning.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if err := c.quarantine.admit(ctx, memory, mark, now, 0, nil); err != nil {
		return fmt.Errorf("learn redis's incarnation: %w", err)
	}
	c.mark.Store(mark)
	return nil
}

// admitNewCluster has the masters of a Cluster that is new count together, before any of them is
// taken for newer than another. Those that can't be asked wait for a lease.
func (c *Client) admitNewCluster(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	plain := *c.cluster.Options()
	plain.OnConnect = nil
	stranger := redis.NewClusterClient(&plain)
	defer stranger.Close()
	var mu sync.Mutex
	var names []string
	err := stranger.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		info, err := master.Info(ctx).Result()
		if name := processName(parseInfo(info)); name != "" {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, name)
		}
		return err
	})
	if len(names) == 0 {
		return errors.Join(errors.New("no master of the Cluster tells who it is"), err)
	}
	return c.opts.Incarnations.First(ctx, process, names...)
}
