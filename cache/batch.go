package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	flushers   = 2                    // pipelines under way at once: more would be smaller, and cost Redis more
	batchSize  = 512                  // calls in a pipeline, at most
	batchBytes = 1 << 20              // their keys and arguments, at most, unless it is one call alone
	tidyDelay  = 5 * time.Millisecond // how long tidyings wait for calls whose pipeline takes them along
	tidyAtOnce = 64                   // jobs that one script tidies, at most: others wait for its end
	queueSize  = 4096                 // jobs that wait for a script that tidies, at most
)

// ErrClosed is returned by the calls on a client that was closed.
var ErrClosed = errors.New("the redis client is closed")

var errSlow = fmt.Errorf("redis did not answer in time: %w", context.DeadlineExceeded)

// run hands the call to its shard and returns Redis's reply. It blocks until then, or until
// ctx ends, at most for twice the time-out, in a Cluster for a third of it; what an error means
// for the script is not known, except that one never sent is not executed later.
func (c *Client) run(ctx context.Context, one *call) (reply any, err error) {
	one.seal()
	s, err := c.shardOf(ctx, one.text[0])
	if err == nil {
		err = s.add(one)
	}
	if err != nil {
		return nil, err
	}
	patience := 2 * s.opts.Timeout
	if s.cluster != nil {
		patience = s.opts.Timeout / 3 // who waits for one master may hold what others need
	}
	one.late.Reset(patience)
	select {
	case <-one.done:
		one.late.Stop()
		reply, err = one.reply, one.err
		one.free()
		return reply, err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-one.late.C:
		err = errSlow
	}
	s.abandon(one, err) // it may be under way: not freed
	return nil, err
}

// tidy leaves a job to the script, which the next pipeline takes along. Nobody waits for that.
func (c *Client) tidy(by *script, wcID, jobID string) {
	to, atOnce := c.shard, tidyAtOnce
	if c.cluster != nil { // the keys of one script have to be in one slot
		to, _ = c.shardOf(context.Background(), c.keys(wcID).lock())
		atOnce = 1
	}
	if to == nil || !to.addTidying(by, c.keys(wcID), jobID, atOnce) {
		c.stats.dropped.Add(1)
	}
}

// flush sends what there is, until there is no more. It lets those run first who are about to
// call, and waits for nobody else.
func (s *shard) flush() {
	for {
		runtime.Gosched()
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		s.exec(s.node.Load().Pipeline(), batch)
	}
}

// next returns what goes into the next pipeline: calls, and tidyings that are overdue or
// ride along. It returns nothing when its flusher is to end.
func (s *shard) next() []*call {
	s.mu.Lock()
	batch := s.takeCalls()
	var tidyings map[*script][]*call
	if len(batch) > 0 || s.overdue {
		tidyings, s.tidyings, s.overdue = s.tidyings, nil, false
	}
	none := len(batch) == 0 && len(tidyings) == 0
	if none {
		s.flushers--
	}
	s.mu.Unlock()
	if none { // from here on the flusher touches nothing
		return nil
	}
	// Snoozes first: the shrinking of the same job takes them away.
	for _, by := range []*script{s.scripts.snooze, s.scripts.shrink} {
		for _, one := range tidyings[by] {
			one.seal()
			batch = append(batch, one)
		}
	}
	return batch
}

// takeCalls takes calls that fit into a pipeline, without those that their callers gave up, but
// as if these were in it: a server that is slow for the bytes of many gets fewer at once.
func (s *shard) takeCalls() []*call {
	batch, size, taken := make([]*call, 0, min(batchSize, len(s.calls))), 0, 0
	for _, one := range s.calls {
		size += one.buf.Len()
		if len(batch) == batchSize || len(batch) > 0 && size > batchBytes {
			break
		}
		taken++
		if !one.abandoned {
			batch = append(batch, one)
		}
	}
	s.calls = slices.Delete(s.calls, 0, taken)
	return batch
}

// exec runs the calls in one pipeline, and once more those whose script the server does not
// know, within the time-out of one.
func (s *shard) exec(pipe redis.Pipeliner, batch []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	for len(batch) > 0 {
		batch = s.pipeline(ctx, pipe, batch)
	}
}

// pipeline runs the calls and completes them, but for those that the server has not executed:
// it returns those whose script is unknown, and leaves those that are redirected to go-redis,
// which finds out where to, and which nobody waits for here.
func (s *shard) pipeline(ctx context.Context, pipe redis.Pipeliner, batch []*call) (unknown []*call) {
	cmds := make([]redis.Cmder, len(batch))
	for i, one := range batch {
		cmds[i] = once{redis.NewCmd(ctx, one.args...)}
	}
	_ = pipe.BatchProcess(ctx, cmds...) // only queues
	s.stats.pipelines.Add(1)
	s.stats.commands.Add(uint64(len(batch)))
	_, failed := pipe.Exec(ctx)
	s.noteReply(failed)
	var redirected []*call
	for i, one := range batch {
		one.reply, one.err = cmds[i].(once).Result()
		if one.reply == nil && one.err == nil {
			// Its connection could not be set up because the server refused it. A Cluster's
			// pipeline then returns no error either.
			one.err = fmt.Errorf("set up connection: %w", cmp.Or(failed, errors.New("the server refused it: see that it takes this user's commands")))
		}
		switch {
		case one.err == nil:
			s.complete(one)
		case redis.HasErrorPrefix(one.err, "NOSCRIPT"):
			one.withSource()
			unknown = append(unknown, one)
		case s.redirects(one):
			one.redirected = true
			redirected = append(redirected, one)
		default:
			s.complete(one)
		}
	}
	if len(redirected) > 0 {
		s.running.Go(func() { s.exec(s.redis.Pipeline(), redirected) })
	}
	return unknown
}

// complete tells who waits for the call, and may use it for another one at once.
func (c *Client) complete(one *call) {
	if one.err != nil {
		c.stats.failed.Add(1)
	}
	if one.done != nil {
		one.done <- struct{}{}
	}
}

// once is a command that go-redis must not send again: a Cluster client would repeat
// the whole pipeline after a lost connection. Redirections are still followed.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }
