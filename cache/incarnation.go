package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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

// unknownMark is no server's mark.
const unknownMark = "?"

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
