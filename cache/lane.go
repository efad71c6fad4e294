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

// lane is a queue of calls and what sends them. There is one, or in a Cluster one for each
// master, so that a master that is down or stalls holds up the calls for its slots alone.
type lane struct {
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

// lanes are those of a Cluster.
type lanes struct {
	mu   sync.Mutex // held also by who closes the client
	of   map[string]*lane
	each []*lane
}

// maxLanes bounds the lanes. A Cluster whose masters had more addresses, now or over time,
// has lanes that serve several.
const maxLanes = 128

// newLane starts a lane, which ends when the client is closing.
func (c *Client) newLane() *lane {
	l := &lane{
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

// laneOf returns the lane for what has that key.
func (c *Client) laneOf(ctx context.Context, key string) (*lane, error) {
	if c.cluster == nil {
		return c.lane, nil
	}
	node, err := c.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("find the master of a key: %w", err)
	}
	return c.laneTo(node)
}

// laneTo returns the lane of a master. [ErrClosed] is returned once the client is closing.
func (c *Client) laneTo(node *redis.Client) (*lane, error) {
	addr := node.Options().Addr
	c.lanes.mu.Lock()
	defer c.lanes.mu.Unlock()
	l := c.lanes.of[addr]
	if l == nil {
		if c.isClosing() {
			return nil, ErrClosed
		}
		l = c.nextLane()
		c.lanes.of[addr] = l
	}
	l.node.Store(node) // go-redis may have a new client for the address
	return l, nil
}

// nextLane returns a lane that no address has, or when there are too many gives all of
// them out anew: what is in a lane may be for any master.
func (c *Client) nextLane() *lane {
	if len(c.lanes.of) == maxLanes {
		clear(c.lanes.of)
	}
	if n := len(c.lanes.of); n < len(c.lanes.each) {
		return c.lanes.each[n]
	}
	l := c.newLane()
	c.lanes.each = append(c.lanes.each, l)
	return l
}

// eachLane returns the lanes that there are.
func (c *Client) eachLane() []*lane {
	if c.cluster == nil {
		return []*lane{c.lane}
	}
	c.lanes.mu.Lock()
	defer c.lanes.mu.Unlock()
	return c.lanes.each[:len(c.lanes.each):len(c.lanes.each)]
}

func (c *Client) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// pipe returns a pipeline to the lane's server.
func (l *lane) pipe() redis.Pipeliner {
	if node := l.node.Load(); node != nil {
		return node.Pipeline()
	}
	return l.redis.Pipeline()
}

// probeEvery is how often a call is sent to a master that does not answer.
const probeEvery = 100 * time.Millisecond

var errStalls = fmt.Errorf("the master of the account's slot does not answer: %w", context.DeadlineExceeded)

// patience is how long a caller waits. In a Cluster it is short: who waits for one master
// may hold what others need.
func (l *lane) patience() time.Duration {
	if l.cluster == nil {
		return 2 * l.opts.Timeout
	}
	return l.opts.Timeout / 3
}

// stalls tells a caller not to wait for a master that answers nobody, unless it is the one
// that finds out when that is over.
func (l *lane) stalls() bool {
	if !l.stalled.Load() {
		return false
	}
	now, last := time.Now().UnixNano(), l.probed.Load()
	return now-last < int64(probeEvery) || !l.probed.CompareAndSwap(last, now)
}

// slow notes how a caller's waiting has ended.
func (l *lane) slow(err error) {
	if l.cluster != nil && errors.Is(err, errSlow) {
		l.stalled.Store(true)
		l.probed.Store(time.Now().UnixNano())
	}
}

// heard notes what came of a pipeline: any reply, be it an error, shows a master that answers.
func (l *lane) heard(failed error) {
	var reply redis.Error
	if l.stalled.Load() && (failed == nil || errors.As(failed, &reply)) {
		l.stalled.Store(false)
	}
}

// doubt has go-redis ask a Cluster who its masters are, in the background, after an error
// that a master's failure may have caused.
func (l *lane) doubt(err error) {
	var reply redis.Error
	if err != nil && l.cluster != nil && (!errors.As(err, &reply) || redis.IsClusterDownError(err)) {
		l.cluster.ReloadState(context.Background())
	}
}

// redirected leaves a call whose slot is elsewhere to follow, and tells whether it did: the
// rest of the pipeline does not wait for a server that has nothing to do with it.
func (l *lane) redirected(one *call) bool {
	_, moved := redis.IsMovedError(one.err)
	_, ask := redis.IsAskError(one.err)
	if l.cluster == nil || one.redirected || !moved && !ask {
		return false
	}
	one.redirected = true
	select {
	case l.moved <- one:
		return true
	default:
		return false
	}
}

// follow sends what was redirected, and lets go-redis find out where to. It returns when
// moved is closed.
func (l *lane) follow() {
	for next := <-l.moved; next != nil; {
		batch, rest := gather(l.moved, next)
		l.exec(l.redis.Pipeline(), batch)
		if next = rest; next == nil {
			next = <-l.moved
		}
	}
}
