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

// shard is what waits to be sent, and sends it. There is one, or in a Cluster one for each
// master, so that a master that is down or stalls holds up the calls for its slots alone. One
// that has nothing to send is small, and has no goroutine.
type shard struct {
	*Client
	node atomic.Pointer[redis.Client]

	mu       sync.Mutex
	calls    []*call             // somebody waits for the reply
	tidyings map[*script][]*call // nobody does, and jobs are added to the last one
	overdue  bool                // they are to be sent without calls
	late     *time.Timer         // makes them overdue
	flushers int                 // goroutines that send
	closed   bool                // nothing is taken any more
	silent   time.Time           // in a Cluster: when a call was last not answered in time, or sent all the same; zero once one was
}

// shardOf returns the shard of the master that has the key.
func (c *Client) shardOf(ctx context.Context, key string) (*shard, error) {
	if c.cluster == nil {
		return c.shard, nil
	}
	node, err := c.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("find the master of a key: %w", err)
	}
	return c.shardTo(node), nil
}

// shardTo returns the shard of a master, or of the only server.
func (c *Client) shardTo(node *redis.Client) *shard {
	addr := node.Options().Addr
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shards[addr]
	if s == nil {
		s = &shard{Client: c, closed: c.closed}
		s.late = time.AfterFunc(time.Hour, s.tidyNow)
		s.late.Stop()
		c.shards[addr] = s
	}
	s.node.Store(node) // go-redis may have a new client for the address
	return s
}

// eachMaster calls f with the server, of a Cluster at once with each master.
func (c *Client) eachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if c.cluster != nil {
		return c.cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, c.shard.node.Load())
}

// probeEvery is how often a call is sent to a master that does not answer.
const probeEvery = 100 * time.Millisecond

var errStalls = fmt.Errorf("the master of the account's slot does not answer: %w", context.DeadlineExceeded)

// add has the call sent. It is refused for a master that answers nobody, unless it is the one
// that finds out when that is over.
func (s *shard) add(one *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.silent.IsZero():
	case time.Since(s.silent) < probeEvery:
		return errStalls
	default:
		s.silent = time.Now()
	}
	s.calls = append(s.calls, one)
	s.send()
	return nil
}

// send sees that somebody sends.
func (s *shard) send() {
	if s.flushers < flushers {
		s.flushers++
		s.running.Go(s.flush)
	}
}

// abandon sees that the call is not sent, if it was not yet.
func (s *shard) abandon(one *call, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.abandoned = true
	if s.cluster != nil && errors.Is(why, errSlow) {
		s.silent = time.Now()
	}
}

// addTidying adds a job to those that the script tidies, so many at once, and tells whether
// there was room.
func (s *shard) addTidying(by *script, account keys, jobID string, atOnce int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.tidyings == nil {
		s.tidyings = make(map[*script][]*call, 1)
		s.late.Reset(tidyDelay)
	}
	all := s.tidyings[by]
	if len(all) == 0 || all[len(all)-1].keys == 2*atOnce {
		if len(all)*atOnce == queueSize {
			return false
		}
		all = append(all, &call{script: by})
		s.tidyings[by] = all
	}
	one := all[len(all)-1]
	one.account = account
	one.accountKeys(jobName, jobID, snoozedName, jobID)
	return true
}

// tidyNow has tidyings sent that no call's pipeline took along.
func (s *shard) tidyNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tidyings != nil && !s.closed {
		s.overdue = true
		s.send()
	}
}

// close ends the calls that wait, and has the tidyings sent.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late.Stop()
	for _, one := range s.calls {
		if !one.abandoned {
			one.err = ErrClosed
			s.complete(one)
		}
	}
	s.calls, s.overdue, s.closed = nil, true, true
	s.send()
}

// noteReply notes what came of a pipeline. Any reply, be it an error, shows a master that
// answers. After any other error, which its failure may have caused, go-redis asks the Cluster
// in the background who its masters are.
func (s *shard) noteReply(failed error) {
	if s.cluster == nil {
		return
	}
	_, refused := errors.AsType[redis.Error](failed)
	replied := failed == nil || refused
	if !replied || redis.IsClusterDownError(failed) {
		s.cluster.ReloadState(context.Background())
	}
	if replied {
		s.mu.Lock()
		s.silent = time.Time{}
		s.mu.Unlock()
	}
}

// redirects tells whether the server says that the call's slot is elsewhere.
func (s *shard) redirects(one *call) bool {
	_, moved := redis.IsMovedError(one.err)
	_, ask := redis.IsAskError(one.err)
	return s.cluster != nil && !one.redirected && (moved || ask)
}
