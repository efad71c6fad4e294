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
	node atomic.Pointer[redis.Client] // nil outside of a Cluster

	mu       sync.Mutex
	calls    []*call               // somebody waits for the reply
	tidyings map[*script][]tidying // nobody does
	overdue  bool                  // they are to be sent without calls
	late     *time.Timer           // makes them overdue
	flushers int                   // goroutines that send
	silent   time.Time             // in a Cluster: when a call was last not answered in time, or sent all the same; zero once one was
}

// newShard returns a shard for the master with that address.
func (c *Client) newShard(addr string) *shard {
	s := &shard{Client: c}
	s.late = time.AfterFunc(time.Hour, s.tidyNow)
	s.late.Stop()
	c.shards[addr] = s
	return s
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

// shardTo returns the shard of a master.
func (c *Client) shardTo(node *redis.Client) *shard {
	addr := node.Options().Addr
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shards[addr]
	if s == nil {
		s = c.newShard(addr)
	}
	s.node.Store(node) // go-redis may have a new client for the address
	return s
}

// eachMaster calls f with the server, of a Cluster at once with each master.
func (c *Client) eachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	if c.cluster != nil {
		return c.cluster.ForEachMaster(ctx, f)
	}
	return f(ctx, c.redis.(*redis.Client))
}

// pipe returns a pipeline to the shard's server.
func (s *shard) pipe() redis.Pipeliner {
	if node := s.node.Load(); node != nil {
		return node.Pipeline()
	}
	return s.redis.Pipeline()
}

// patience is how long a caller waits. In a Cluster it is short: who waits for one master
// may hold what others need.
func (s *shard) patience() time.Duration {
	if s.cluster == nil {
		return 2 * s.opts.Timeout
	}
	return s.opts.Timeout / 3
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
	case s.isClosing():
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

// addTidying tells whether there was room.
func (s *shard) addTidying(by *script, t tidying) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tidyings[by]) == queueSize || s.isClosing() {
		return false
	}
	if s.tidyings == nil {
		s.tidyings = make(map[*script][]tidying, 1)
		s.late.Reset(tidyDelay)
	}
	s.tidyings[by] = append(s.tidyings[by], t)
	return true
}

// tidyNow has tidyings sent that no call's pipeline took along.
func (s *shard) tidyNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tidyings != nil && !s.isClosing() {
		s.overdue = true
		s.send()
	}
}

// close ends the calls that wait, and has the tidyings sent. The client is closing.
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
	s.calls, s.overdue = nil, true
	s.send()
}

// noteReply notes what came of a pipeline. Any reply, be it an error, shows a master that
// answers. After any other error, which its failure may have caused, go-redis asks the Cluster
// in the background who its masters are.
func (s *shard) noteReply(failed error) {
	if s.cluster == nil {
		return
	}
	var reply redis.Error
	replied := failed == nil || errors.As(failed, &reply)
	if failed != nil && (!replied || redis.IsClusterDownError(failed)) {
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
