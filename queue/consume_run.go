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

	"github.com/relogin/relogin/worker/job"
)

const (
	pullWait    = 30 * time.Second // for an event
	pullPause   = time.Second      // after a request for events that failed
	buryTimeout = 10 * time.Second
	flushLimit  = 5 * time.Second
)

// consumption is one call of [Consume].
type consumption struct {
	client
	ConsumeOptions
	handle func(context.Context, *job.Event) error

	heartbeat *heartbeat
	slots     chan struct{} // an element for each event that is handled
	running   sync.WaitGroup
	failures  seldom
}

// run takes events until ctx ends or none can come any more, and waits for all handlers.
func (c *consumption) run(ctx context.Context) error {
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beats sync.WaitGroup
	beats.Go(func() { every(beating, c.heartbeat.tick, c.heartbeat.beat) })
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

// takeAll asks for as many events as there are free slots. It alone fills slots, so that
// each event that comes finds one.
func (c *consumption) takeAll(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case c.slots <- struct{}{}: // there is a free one
			<-c.slots
		case <-ctx.Done():
			return nil
		}
		free := cap(c.slots) - len(c.slots)
		err := pull(ctx, c.nc, c.names.events(), c.Name, free, pullWait, func(msg *nats.Msg, meta *nats.MsgMetadata) {
			d := newDelivery(c.nc, c.heartbeat, msg, meta)
			if ctx.Err() != nil { // it came after that
				d.HandBack(0)
				return
			}
			c.slots <- struct{}{}
			c.running.Go(func() {
				defer func() { <-c.slots }()
				c.process(ctx, msg.Subject, d)
			})
		})
		if err == nil || ctx.Err() != nil {
			continue
		}
		if err := c.recoverFrom(ctx, err); err != nil {
			return err
		}
	}
	return nil
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

func (c *consumption) process(ctx context.Context, subject string, d *job.Delivery) {
	pause := c.pause(d.Attempts)
	defer d.HandBack(pause) // where the handler has ended its goroutine
	if d.Attempts > c.MaxDeliveries {
		c.bury(ctx, subject, d, fmt.Errorf("it was delivered %d times, and no handler has done it: perhaps the program ended each time", d.Attempts-1))
		return
	}
	e, err := decodeEvent(d.Data, d.Header)
	if err != nil {
		c.bury(ctx, subject, d, err)
		return
	}
	switch err := c.call(ctx, e); {
	case err == nil:
		d.Ack()
	case ctx.Err() != nil:
		d.HandBack(0)
	case d.Attempts == c.MaxDeliveries:
		c.bury(ctx, subject, d, fmt.Errorf("handling it failed after %d deliveries: %w", d.Attempts, err))
	default:
		if times, ok := c.failures.write("handle " + err.Error()); ok {
			c.Logger.WarnContext(ctx, "handling an event failed: it comes again", "consumer", c.Name, "event", e.ID, "outcome", e.Outcome,
				"deliveries", d.Attempts, "pause", pause, "error", err, "times", times)
		}
		d.HandBack(pause)
	}
}

// call returns a panic of the handler as an error.
func (c *consumption) call(ctx context.Context, e *job.Event) (err error) {
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
func (c *consumption) pause(deliveries int) time.Duration {
	pause := c.RetryPause
	for ; deliveries > 1 && pause < c.MaxRetryPause; deliveries-- {
		pause = 2 * min(pause, c.MaxRetryPause/2)
	}
	return pause - rand.N(pause/4+1)
}

// bury moves the event to the dead stream. One that can't be stored there comes again.
func (c *consumption) bury(ctx context.Context, subject string, d *job.Delivery, reason error) {
	attrs := []any{"consumer", c.Name, "subject", subject, "sequence", d.Sequence, "reason", reason}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), buryTimeout)
	defer cancel()
	if err := bury(storing, c.js, c.names.deadEvents(), c.Name, d, reason.Error()); err != nil {
		c.Logger.ErrorContext(ctx, "the dead letter of an event can't be stored: the event comes again", append(attrs, "error", withPermissionHint(c.nc, err))...)
		d.HandBack(c.MaxRetryPause)
		return
	}
	c.Logger.ErrorContext(ctx, "an event goes to the dead stream", attrs...)
	d.Term()
}
