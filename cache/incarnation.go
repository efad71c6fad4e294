package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// IncarnationStore remembers, outside of Redis and for all pods, each incarnation of a Redis
// server and when its lock-delay ends. A server that was restarted, wiped or failed over may
// have forgotten a lock whose prompt is still open, so after the first pod has seen the new
// incarnation nobody may begin for a while: until the longest lease of any pod has passed.
// Two names tell incarnations apart: the process's replication id, which is new with each
// start and each promotion, with the number of keys that it has evicted; and a key that goes
// when the others do.
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
// Only readings of one server's clock are compared, and pods turn the difference into a wait
// on their own monotonic clock. A server clock that is set back makes the wait longer; one
// that is set forward makes it shorter by as much, as it does a lease.
type IncarnationStore interface {
	LockDelayEnds(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error)
	First(ctx context.Context, kind string, names ...string) error
	Suspended() time.Duration
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

// mark is what the pod knows of it.
type mark struct {
	sync.Mutex // held by who learns it
	known      atomic.Value
}

// name returns the mark that this pod knows, "" where there is none.
func (m *mark) name() string {
	name, _ := m.known.Load().(string)
	return name
}

// learnMark learns the server's mark in place of the one that is no longer there, sets a
// new one where the server has none, and has it admitted.
func (c *Client) learnMark(ctx context.Context, gone string) error {
	c.mark.Lock()
	defer c.mark.Unlock()
	if c.mark.name() != gone {
		return nil // another caller has learnt it meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	pipe, key := c.redis.Pipeline(), c.opts.Namespace+markName
	set := pipe.SetArgs(ctx, key, uuid.NewString(), redis.SetArgs{Mode: "NX"})
	found, now := pipe.Get(ctx, key), pipe.Time(ctx)
	_, failed := pipe.Exec(ctx)
	there := set.Err()
	if errors.Is(there, redis.Nil) {
		there = nil // somebody had set one
	}
	if err := errors.Join(there, found.Err(), now.Err()); err != nil {
		return fmt.Errorf("learn redis's incarnation: %w", err)
	}
	name := found.Val()
	if name == "" {
		return fmt.Errorf("learn redis's incarnation: %w", notRun(failed))
	}
	if err := c.quarantine.admit(ctx, memory, name, now.Val(), 0, nil); err != nil {
		return err
	}
	c.mark.known.Store(name)
	return nil
}
