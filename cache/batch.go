package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/redis/go-redis/v9"
)

const (
	flushers   = 2       // pipelines under way at once: more would be smaller, and cost Redis more
	batchSize  = 512     // scripts in a pipeline, at most
	batchBytes = 1 << 20 // keys and arguments in a pipeline, at most, unless it is one script alone
	queueSize  = 4096    // calls, and separately tidyings, that wait for a pipeline
)

// ErrClosed is returned by the calls on a client that was closed.
var ErrClosed = errors.New("the redis client is closed")

// run hands the call to its shard's flushers and returns Redis's reply. It blocks until
// then, or until ctx ends, at most for twice the time-out, in a Cluster for a third of it;
// what an error means for the script is not known, except that one never sent is not
// executed later.
func (c *Client) run(ctx context.Context, one *call) (reply any, err error) {
	one.seal()
	l, err := c.shardOf(ctx, one.text[0])
	if err != nil {
		return nil, err
	}
	if l.isStalled() {
		return nil, errStalls
	}
	one.late.Reset(l.patience())
	err = l.completed(ctx, one)
	one.late.Stop()
	if err != nil {
		l.noteTimeout(err)
		one.claimed.Store(true)
		return nil, err // it may be under way: not freed
	}
	reply, err = one.reply, one.err
	one.free()
	return reply, err
}

// completed returns nil once the call has its reply, or its own error.
func (s *shard) completed(ctx context.Context, one *call) error {
	select {
	case s.calls <- one: // nearly always: one case is cheaper than four
		return s.awaited(ctx, one)
	default:
	}
	select {
	case s.calls <- one:
		return s.awaited(ctx, one)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-one.late.C:
		return errSlow
	case <-s.closing:
		return ErrClosed
	}
}

// awaited is completed for a call that a flusher will take.
func (s *shard) awaited(ctx context.Context, one *call) error {
	select {
	case <-one.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-one.late.C:
		return errSlow
	case <-s.closed:
		select {
		case <-one.done:
			return nil
		default:
			return ErrClosed
		}
	}
}

var errSlow = fmt.Errorf("redis did not answer in time: %w", context.DeadlineExceeded)

// flush sends calls until the client is closing. It collects what is there, tidyings
// too, and does not wait for more, except that it lets those run first who are about to
// call.
func (s *shard) flush() {
	var next *call
	for {
		if next == nil {
			select {
			case next = <-s.calls:
				runtime.Gosched()
			case <-s.closing:
				return
			}
		}
		var batch []*call
		batch, next = collect(s.calls, next)
		s.exec(s.pipe(), append(batch, s.tidyings()...))
	}
}

// collect returns first and what else is in the queue and fits into a pipeline, without
// those that their callers gave up, and the one taken from the queue that no longer fits.
func collect(queue <-chan *call, first *call) (batch []*call, next *call) {
	batch, size := make([]*call, 0, min(batchSize, len(queue)+1)), 0
	for one := first; one != nil; {
		if size += one.buf.Len(); size > batchBytes && len(batch) > 0 {
			return batch, one
		}
		if one.redirected || one.claimed.CompareAndSwap(false, true) {
			batch = append(batch, one)
		}
		if len(batch) == batchSize {
			return batch, nil
		}
		select {
		case one = <-queue:
		default:
			return batch, nil
		}
	}
	return batch, nil // the queue is closed
}

// exec runs the calls in one pipeline, and once more those whose script the server
// does not know: it has not executed these.
func (s *shard) exec(pipe redis.Pipeliner, batch []*call) {
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	unknown := s.pipeline(ctx, pipe, batch)
	if len(unknown) == 0 {
		return
	}
	s.stats.reloads.Add(uint64(len(unknown)))
	for _, one := range unknown {
		one.withSource()
	}
	for _, one := range s.pipeline(ctx, pipe, unknown) {
		s.complete(one)
	}
}

// pipeline runs the calls, completes them, and returns those that failed with
// NOSCRIPT, which are not completed.
func (s *shard) pipeline(ctx context.Context, pipe redis.Pipeliner, batch []*call) (unknown []*call) {
	cmds := make([]redis.Cmder, len(batch))
	for i, one := range batch {
		cmds[i] = once{redis.NewCmd(ctx, one.args...)}
	}
	_ = pipe.BatchProcess(ctx, cmds...) // only queues
	s.stats.pipelines.Add(1)
	s.stats.commands.Add(uint64(len(batch)))
	_, failed := pipe.Exec(ctx)
	s.reloadAfter(failed)
	s.noteReply(failed)
	for i, one := range batch {
		one.reply, one.err = cmds[i].(once).Result()
		if one.reply == nil && one.err == nil {
			one.err = notRun(failed)
		}
		if one.err != nil {
			if redis.HasErrorPrefix(one.err, "NOSCRIPT") {
				unknown = append(unknown, one)
				continue
			}
			if s.redirected(one) {
				continue
			}
			s.stats.failed.Add(1)
		}
		s.complete(one)
	}
	return unknown
}

// notRun returns the error of a command that got neither a reply nor an error. go-redis
// leaves those of a pipeline so whose connection could not be set up because the server
// refused it, and of a Cluster returns no error either.
func notRun(failed error) error {
	return fmt.Errorf("set up connection: %w", cmp.Or(failed, errNotRun))
}

var errNotRun = errors.New("the server refused it: see that it takes this user's commands")

// complete tells who waits for the call, who may use it for another one at once.
func (c *Client) complete(one *call) {
	if one.done == nil {
		c.untidied.Add(-int64(one.jobs))
		return
	}
	one.done <- struct{}{}
}

// once is a command that go-redis must not send again: a Cluster client would repeat
// the whole pipeline after a lost connection. Redirections are still followed.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }
