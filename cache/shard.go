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

// shard is a queue of calls and what sends them. There is one, or in a Cluster one for each
// master, so that a master that is down or stalls holds up the calls for its slots alone.
type shard struct {
	*Client
	node    atomic.Pointer[redis.Client] // nil outside of a Cluster
	calls   chan *call                   // somebody waits for the reply
	tidying chan tidying                 // nobody does
	untidy  chan struct{}                // holds a value when there is something to tidy
	moved   chan *call                   // in a Cluster: answered with a redirection
	sending sync.WaitGroup

	stalled atomic.Bool  // in a Cluster: a call was not answered in time, and nothing was since
	probed  atomic.Int64 // when a call was last sent all the same, or given up, in Unix nanoseconds
}

// shards are the masters of a Cluster that calls were made to.
type shards struct {
	mu   sync.Mutex // held also by who closes the client
	of   map[string]*shard
	each []*shard
}

// maxShards bounds the shards. A Cluster whose masters had more addresses, now or over time,
// has shards that serve several.
const maxShards = 128

// newShard starts a shard, which ends when the client is closing.
func (c *Client) newShard() *shard {
	l := &shard{
		Client: c, calls: make(chan *call, queueSize),
		tidying: make(chan tidying, queueSize), untidy: make(chan struct{}, 1), moved: make(chan *call, queueSize),
	}
	for range flushers {
		l.sending.Go(l.flush)
	}
	l.sending.Go(l.tidyUp)
	c.running.Go(func() {
		l.sending.Wait()
		close(l.moved)
	})
	c.running.Go(l.follow)
	return l
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
	return c.shardTo(node)
}

// shardTo returns the shard of a master. [ErrClosed] is returned once the client is closing.
func (c *Client) shardTo(node *redis.Client) (*shard, error) {
	addr := node.Options().Addr
	c.shards.mu.Lock()
	defer c.shards.mu.Unlock()
	l := c.shards.of[addr]
	if l == nil {
		if c.isClosing() {
			return nil, ErrClosed
		}
		l = c.nextShard()
		c.shards.of[addr] = l
	}
	l.node.Store(node) // go-redis may have a new client for the address
	return l, nil
}

// nextShard returns a shard that no address has, or when there are too many gives all of
// them out anew: what is in a shard may be for any master.
func (c *Client) nextShard() *shard {
	if len(c.shards.of) == maxShards {
		clear(c.shards.of)
	}
	if n := len(c.shards.of); n < len(c.shards.each) {
		return c.shards.each[n]
	}
	l := c.newShard()
	c.shards.each = append(c.shards.each, l)
	return l
}

// eachShard returns the shards that there are.
func (c *Client) eachShard() []*shard {
	if c.cluster == nil {
		return []*shard{c.shard}
	}
	c.shards.mu.Lock()
	defer c.shards.mu.Unlock()
	return c.shards.each[:len(c.shards.each):len(c.shards.each)]
}

func (c *Client) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// pipe returns a pipeline to the shard's server.
func (s *shard) pipe() redis.Pipeliner {
	if node := s.node.Load(); node != nil {
		return node.Pipeline()
	}
	return s.redis.Pipeline()
}

// probeEvery is how often a call is sent to a master that does not answer.
const probeEvery = 100 * time.Millisecond

var errStalls = fmt.Errorf("the master of the account's slot does not answer: %w", context.DeadlineExceeded)

// patience is how long a caller waits. In a Cluster it is short: who waits for one master
// may hold what others need.
func (s *shard) patience() time.Duration {
	if s.cluster == nil {
		return 2 * s.opts.Timeout
	}
	return s.opts.Timeout / 3
}

// isStalled tells a caller not to wait for a master that answers nobody, unless it is the one
// that finds out when that is over.
func (s *shard) isStalled() bool {
	if !s.stalled.Load() {
		return false
	}
	now, last := time.Now().UnixNano(), s.probed.Load()
	return now-last < int64(probeEvery) || !s.probed.CompareAndSwap(last, now)
}

// noteTimeout notes how a caller's waiting has ended.
func (s *shard) noteTimeout(err error) {
	if s.cluster != nil && errors.Is(err, errSlow) {
		s.stalled.Store(true)
		s.probed.Store(time.Now().UnixNano())
	}
}

// noteReply notes what came of a pipeline: any reply, be it an error, shows a master that answers.
func (s *shard) noteReply(failed error) {
	var reply redis.Error
	if s.stalled.Load() && (failed == nil || errors.As(failed, &reply)) {
		s.stalled.Store(false)
	}
}

// reloadAfter has go-redis ask a Cluster who its masters are, in the background, after an error
// that a master's failure may have caused.
func (s *shard) reloadAfter(err error) {
	var reply redis.Error
	if err != nil && s.cluster != nil && (!errors.As(err, &reply) || redis.IsClusterDownError(err)) {
		s.cluster.ReloadState(context.Background())
	}
}

// redirected leaves a call whose slot is elsewhere to follow, and tells whether it did: the
// rest of the pipeline does not wait for a server that has nothing to do with it.
func (s *shard) redirected(one *call) bool {
	_, moved := redis.IsMovedError(one.err)
	_, ask := redis.IsAskError(one.err)
	if s.cluster == nil || one.redirected || !moved && !ask {
		return false
	}
	one.redirected = true
	select {
	case s.moved <- one:
		return true
	default:
		return false
	}
}

// follow sends what was redirected, and lets go-redis find out where to. It returns when
// moved is closed.
func (s *shard) follow() {
	for next := <-s.moved; next != nil; {
		batch, rest := collect(s.moved, next)
		s.exec(s.redis.Pipeline(), batch)
		if next = rest; next == nil {
			next = <-s.moved
		}
	}
}
