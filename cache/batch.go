package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

const (
	flushers  = 4    // pipelines under way at once
	batchSize = 256  // scripts in a pipeline, at most
	queueSize = 4096 // calls, and separately tidyings, that wait for a pipeline
)

// ErrClosed is returned by the calls on a client that was closed.
var ErrClosed = errors.New("the redis client is closed")

// call is one run of a script. Whoever wins claimed decides whether it is sent: the
// flusher that takes it, or the caller that no longer waits for it.
type call struct {
	script  *script
	keys    []string
	args    []any
	claimed atomic.Bool
	done    chan struct{} // closed once reply and err are set
	reply   any
	err     error
}

// run hands the script to the flushers and returns Redis's reply. It blocks until
// then, or until ctx ends, at most for twice the time-out; what an error means for
// the script is not known, except that one never sent is not executed later.
func (c *Client) run(ctx context.Context, s *script, keys []string, args ...any) (any, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*c.opts.Timeout, errSlow)
	defer cancel()
	one := &call{script: s, keys: keys, args: args, done: make(chan struct{})}
	select {
	case c.calls <- one:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.closing:
		return nil, ErrClosed
	}
	select {
	case <-one.done:
		return one.reply, one.err
	case <-ctx.Done():
		one.claimed.Store(true)
		return nil, context.Cause(ctx)
	case <-c.closed:
		select {
		case <-one.done:
			return one.reply, one.err
		default:
			return nil, ErrClosed
		}
	}
}

var errSlow = fmt.Errorf("redis did not answer in time: %w", context.DeadlineExceeded)

// flush sends calls from queue until the client is closing. It gathers what is there
// and never waits for more.
func (c *Client) flush(queue <-chan *call) {
	for {
		select {
		case one := <-queue:
			c.exec(gather(queue, one))
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
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	unknown := c.pipeline(ctx, batch, func(s *script) (string, string) { return "evalsha", s.hash })
	if len(unknown) == 0 {
		return
	}
	c.stats.reloads.Add(uint64(len(unknown)))
	for _, one := range c.pipeline(ctx, unknown, func(s *script) (string, string) { return "eval", s.source }) {
		close(one.done)
	}
}

// pipeline runs the calls, completes them, and returns those that failed with
// NOSCRIPT, which are not completed.
func (c *Client) pipeline(ctx context.Context, batch []*call, how func(*script) (command, body string)) (unknown []*call) {
	if len(batch) == 0 {
		return nil
	}
	pipe := c.redis.Pipeline()
	cmds := make([]once, len(batch))
	for i, one := range batch {
		command, body := how(one.script)
		args := make([]any, 0, 3+len(one.keys)+len(one.args))
		args = append(args, command, body, len(one.keys))
		for _, key := range one.keys {
			args = append(args, key)
		}
		cmds[i] = once{redis.NewCmd(ctx, append(args, one.args...)...)}
		_ = pipe.Process(ctx, cmds[i]) // only queues
	}
	c.stats.pipelines.Add(1)
	c.stats.commands.Add(uint64(len(batch)))
	_, _ = pipe.Exec(ctx) // each command has its error
	for i, one := range batch {
		one.reply, one.err = cmds[i].Result()
		if redis.HasErrorPrefix(one.err, "NOSCRIPT") {
			unknown = append(unknown, one)
			continue
		}
		if one.err != nil {
			c.stats.failed.Add(1)
		}
		close(one.done)
	}
	return unknown
}

// once is a command that go-redis must not send again: a Cluster client would repeat
// the whole pipeline after a lost connection. Redirections are still followed.
type once struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }
