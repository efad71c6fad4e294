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
	flushers  = 2    // pipelines under way at once: more would be smaller, and cost Redis more
	batchSize = 512  // scripts in a pipeline, at most
	queueSize = 4096 // calls, and separately tidyings, that wait for a pipeline
)

// ErrClosed is returned by the calls on a client that was closed.
var ErrClosed = errors.New("the redis client is closed")

// run hands the call to the flushers and returns Redis's reply. It blocks until
// then, or until ctx ends, at most for twice the time-out; what an error means for
// the script is not known, except that one never sent is not executed later.
func (c *Client) run(ctx context.Context, one *call) (reply any, err error) {
	one.seal()
	one.late.Reset(2 * c.opts.Timeout)
	err = c.completed(ctx, one)
	one.late.Stop()
	if err != nil {
		one.claimed.Store(true)
		return nil, err // it may be under way: not freed
	}
	reply, err = one.reply, one.err
	one.free()
	return reply, err
}

// completed returns nil once the call has its reply, or its own error.
func (c *Client) completed(ctx context.Context, one *call) error {
	select {
	case c.calls <- one: // nearly always: one case is cheaper than four
		return c.awaited(ctx, one)
	default:
	}
	select {
	case c.calls <- one:
		return c.awaited(ctx, one)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-one.late.C:
		return errSlow
	case <-c.closing:
		return ErrClosed
	}
}

// awaited is completed for a call that a flusher will take.
func (c *Client) awaited(ctx context.Context, one *call) error {
	select {
	case <-one.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-one.late.C:
		return errSlow
	case <-c.closed:
		select {
		case <-one.done:
			return nil
		default:
			return ErrClosed
		}
	}
}

var errSlow = fmt.Errorf("redis did not answer in time: %w", context.DeadlineExceeded)

// flush sends calls until the client is closing. It gathers what is there, tidyings
// too, and does not wait for more, except that it lets those run first who are about to
// call.
func (c *Client) flush() {
	for {
		select {
		case one := <-c.calls:
			runtime.Gosched()
			batch := gather(c.calls, one)
			c.exec(append(batch, c.tidyings()...))
		case <-c.closing:
			return
		}
	}
}

// gather returns first and what else is in the queue, without those that their
// callers gave up.
func gather(queue <-chan *call, first *call) []*call {
	batch := make([]*call, 0, min(batchSize, len(queue)+1))
	for one := first; ; {
		if one.claimed.CompareAndSwap(false, true) {
			batch = append(batch, one)
		}
		if len(batch) == batchSize {
			return batch
		}
		select {
		case one = <-queue:
		default:
			return batch
		}
	}
}

// exec runs the calls in one pipeline, and once more those whose script the server
// does not know: it has not executed these.
func (c *Client) exec(batch []*call) {
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	unknown := c.pipeline(ctx, batch)
	if len(unknown) == 0 {
		return
	}
	c.stats.reloads.Add(uint64(len(unknown)))
	for _, one := range unknown {
		one.withSource()
	}
	for _, one := range c.pipeline(ctx, unknown) {
		c.complete(one)
	}
}

// pipeline runs the calls, completes them, and returns those that failed with
// NOSCRIPT, which are not completed.
func (c *Client) pipeline(ctx context.Context, batch []*call) (unknown []*call) {
	pipe, cmds := c.redis.Pipeline(), make([]redis.Cmder, len(batch))
	for i, one := range batch {
		cmds[i] = once{redis.NewCmd(ctx, one.args...)}
	}
	_ = pipe.BatchProcess(ctx, cmds...) // only queues
	c.stats.pipelines.Add(1)
	c.stats.commands.Add(uint64(len(batch)))
	_, failed := pipe.Exec(ctx)
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
			c.stats.failed.Add(1)
		}
		c.complete(one)
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
