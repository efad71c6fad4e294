package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

const (
	pullWait    = 30 * time.Second // for an event
	pullPause   = time.Second      // after a request for events that failed
	buryTimeout = 10 * time.Second
	flushLimit  = 5 * time.Second
)

// consumption is one call of [Consume].
type consumption struct {
	ConsumeOptions
	names  names
	nc     *nats.Conn
	js     jetstream.JetStream
	handle func(context.Context, *worker.Event) error

	heartbeat *heartbeat
	slots     chan struct{} // an element for each event in this instance's hands, and for each that is asked for
	running   sync.WaitGroup
	failures  seldom
}

// run takes events until ctx ends, and returns nil then, or until none can come any more.
// It blocks until all handlers have returned.
func (c *consumption) run(ctx context.Context) error {
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beats sync.WaitGroup
	beats.Go(func() { c.heartbeat.run(beating) })
	handling, interrupt := context.WithCancel(ctx)
	err := c.takeAll(handling)
	interrupt()
	c.running.Wait()
	stop()
	beats.Wait()
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
	defer cancel()
	_ = c.nc.FlushWithContext(flushing) // without a connection events come again
	return err
}

func (c *consumption) takeAll(ctx context.Context) error {
	for {
		free := c.reserve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		err := pull(ctx, c.nc, c.names.events(), c.Name, free, pullWait, func(msg *nats.Msg) {
			if c.start(ctx, msg) {
				free--
			}
		})
		c.release(free)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if err := c.recoverFrom(ctx, err); err != nil {
			return err
		}
	}
}

// reserve blocks until a slot is free, takes all that are, and returns how many. It may
// return 0 once ctx has ended.
func (c *consumption) reserve(ctx context.Context) int {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for free := 1; ; free++ {
		select {
		case c.slots <- struct{}{}:
		default:
			return free
		}
	}
}

func (c *consumption) release(n int) {
	for range n {
		<-c.slots
	}
}

// recoverFrom waits a moment after an error, or returns one that waiting does not cure.
func (c *consumption) recoverFrom(ctx context.Context, cause error) error {
	if c.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	asking, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	if _, err := c.js.Consumer(asking, c.names.events(), c.Name); errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("consumer %s of stream %s was deleted, and with it what is done: %w", c.Name, c.names.events(), err)
	}
	if times, ok := c.failures.write("take"); ok {
		c.Logger.WarnContext(ctx, "taking events failed: trying again", "consumer", c.Name, "error", withPermissionHint(c.nc, cause), "times", times)
	}
	select {
	case <-time.After(pullPause):
	case <-ctx.Done():
	}
	return nil
}

// start has the event handled in its slot. It returns false, and leaves the slot, for a
// message that can't be settled, and for one that came after ctx ended.
func (c *consumption) start(ctx context.Context, msg *nats.Msg) bool {
	meta, err := msg.Metadata()
	if err != nil {
		if times, ok := c.failures.write("reply"); ok {
			c.Logger.ErrorContext(ctx, "passing over an event that can't be acknowledged", "consumer", c.Name, "reply", msg.Reply, "error", err, "times", times)
		}
		return false
	}
	held := &inFlight{nc: c.nc, reply: msg.Reply, heartbeat: c.heartbeat}
	c.heartbeat.add(held)
	if ctx.Err() != nil {
		held.HandBack(0)
		return false
	}
	c.running.Go(func() {
		defer c.release(1)
		c.process(ctx, msg, meta, held)
	})
	return true
}

// process handles the event and settles it.
func (c *consumption) process(ctx context.Context, msg *nats.Msg, meta *nats.MsgMetadata, held *inFlight) {
	pause := c.pause(meta.NumDelivered)
	defer held.HandBack(pause) // where the handler has ended its goroutine
	most := uint64(c.MaxDeliveries)
	if meta.NumDelivered > most {
		c.bury(ctx, msg, meta, held, fmt.Errorf("it was delivered %d times, and no handler has done it: perhaps the program ended each time", meta.NumDelivered-1))
		return
	}
	e, err := decodeEvent(msg.Data, msg.Header)
	if err != nil {
		c.bury(ctx, msg, meta, held, err)
		return
	}
	switch err := c.call(ctx, e); {
	case err == nil:
		held.Ack()
	case ctx.Err() != nil:
		held.HandBack(0)
	case meta.NumDelivered == most:
		c.bury(ctx, msg, meta, held, fmt.Errorf("handling it failed after %d deliveries: %w", most, err))
	default:
		if times, ok := c.failures.write("handle " + err.Error()); ok {
			c.Logger.WarnContext(ctx, "handling an event failed: it comes again", "consumer", c.Name, "event", e.ID, "outcome", e.Outcome,
				"deliveries", meta.NumDelivered, "pause", pause, "error", err, "times", times)
		}
		held.HandBack(pause)
	}
}

// call returns a panic of the handler as an error.
func (c *consumption) call(ctx context.Context, e *worker.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v", p)
			c.Logger.ErrorContext(ctx, "the handler of an event panicked", "consumer", c.Name, "event", e.ID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return c.handle(ctx, e)
}

// pause returns how long an event waits after it was delivered that often. It is shorter
// by up to a quarter, so that events that failed together do not all come back together.
func (c *consumption) pause(deliveries uint64) time.Duration {
	pause := c.RetryPause
	for range deliveries - 1 {
		if pause > c.MaxRetryPause/2 {
			pause = c.MaxRetryPause
			break
		}
		pause *= 2
	}
	return pause - rand.N(pause/4+1)
}

// bury moves the event to the dead stream. One that can't be stored there comes again.
func (c *consumption) bury(ctx context.Context, msg *nats.Msg, meta *nats.MsgMetadata, held *inFlight, reason error) {
	letter := deadLetter{
		subject: c.names.deadEvents(), reason: reason.Error(), consumer: c.Name, header: msg.Header, data: msg.Data,
		msgID: msg.Header.Get(nats.MsgIdHdr), stream: meta.Stream, sequence: meta.Sequence.Stream, storedAt: meta.Timestamp,
		deliveries: int(meta.NumDelivered),
	}
	attrs := []any{"consumer", c.Name, "subject", msg.Subject, "sequence", meta.Sequence.Stream, "reason", reason}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryTimeout)
	defer cancel()
	if err := letter.store(storing, c.js); err != nil {
		c.Logger.ErrorContext(ctx, "the dead letter of an event can't be stored: the event comes again", append(attrs, "error", withPermissionHint(c.nc, err))...)
		held.HandBack(c.MaxRetryPause)
		return
	}
	c.Logger.ErrorContext(ctx, "an event goes to the dead stream", attrs...)
	held.Term()
}
