package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

// FollowOptions says which events to follow.
type FollowOptions struct {
	Namespace string
	Account   string           // its wcId; all accounts unless set
	Outcomes  []worker.Outcome // all unless set
	Since     time.Time        // from then on, by the server's clock; from now on unless set
	Ready     func()           // called once, before the first event: what is published from here on is seen
	Logger    *slog.Logger     // told, once a minute at most, of events that can't be read, which are passed over
}

// Follow calls handle with each event, in order and once, across lost connections. It
// blocks until handle returns an error, and returns that, or until ctx ends, and
// returns its cause.
func Follow(ctx context.Context, nc *nats.Conn, o FollowOptions, handle func(*worker.Event) error) error {
	return FollowStored(ctx, nc, o, func(e *worker.Event, _ time.Time) error { return handle(e) })
}

// FollowStored is [Follow] for who wants to know when each event was stored, by the
// server's clock.
func FollowStored(ctx context.Context, nc *nats.Conn, o FollowOptions, handle func(e *worker.Event, stored time.Time) error) error {
	n, err := newNames(o.Namespace)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	stream, err := js.Stream(ctx, n.events())
	if err != nil {
		return fmt.Errorf("follow events of stream %s (relogin setup creates it): %w", n.events(), explain(nc, err))
	}
	consumer, err := stream.OrderedConsumer(ctx, o.consumer(n, stream.CachedInfo().State.LastSeq))
	if err != nil {
		return fmt.Errorf("follow events: %w", explain(nc, err))
	}
	events, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	defer context.AfterFunc(ctx, events.Stop)()
	defer events.Stop()
	if o.Ready != nil {
		o.Ready()
	}
	var passedOver seldom
	for {
		msg, err := events.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("follow events: %w", explain(nc, err))
		}
		e, err := worker.DecodeEvent(msg.Data(), msg.Headers().Get(contentType))
		if err != nil {
			if times, ok := passedOver.write(""); ok && o.Logger != nil {
				o.Logger.WarnContext(ctx, "passing over an event that can't be read", "subject", msg.Subject(), "error", err, "times", times)
			}
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow events: %w", err)
		}
		if err := handle(e, meta.Timestamp); err != nil {
			return err
		}
	}
}

// consumer starts after the last event there is by its number: made again after a lost
// connection, one that starts with new events would skip what came in between.
func (o *FollowOptions) consumer(n names, last uint64) jetstream.OrderedConsumerConfig {
	c := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1}
	if !o.Since.IsZero() {
		c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &o.Since
	}
	account := "*"
	if o.Account != "" {
		account = worker.AccountToken(o.Account)
	}
	outcomes := o.Outcomes
	if len(outcomes) == 0 {
		outcomes = []worker.Outcome{"*"}
	}
	for _, outcome := range outcomes {
		c.FilterSubjects = append(c.FilterSubjects, string(n)+".events."+string(outcome)+"."+account)
	}
	return c
}
