package queue

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

// FollowOptions says which events to follow.
type FollowOptions struct {
	Namespace string           // relogin unless set
	Account   string           // its wcId; all accounts unless set
	Outcomes  []worker.Outcome // all unless set
	Since     time.Time        // from then on, by the server's clock; from now on unless set
	Ready     func()           // called once, before the first event: what is published from here on is seen

	lookBack time.Duration // begin so long ago by the server's clock; Since is not used then

	Logger *slog.Logger // told, once a minute at most, of events that can't be read or have an unknown outcome; they are passed over
}

// Follow calls handle with each event, in order and once, across lost connections. It
// blocks until handle returns an error, and returns that, or until ctx ends, and
// returns its cause. An outcome in the options that there is not is an error.
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
	filters, err := n.eventFilters(o.Account, o.Outcomes)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	stream, err := js.Stream(ctx, n.events())
	if err != nil {
		return fmt.Errorf("follow events of stream %s (relogin setup creates it): %w", n.events(), withPermissionHint(nc, err))
	}
	consumer, err := stream.OrderedConsumer(ctx, o.consumer(filters, stream.CachedInfo()))
	if err != nil {
		return fmt.Errorf("follow events: %w", withPermissionHint(nc, err))
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
			return fmt.Errorf("follow events: %w", withPermissionHint(nc, err))
		}
		e, err := decodeEvent(msg.Data(), msg.Headers())
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
func (o *FollowOptions) consumer(filters []string, stream *jetstream.StreamInfo) jetstream.OrderedConsumerConfig {
	c := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: stream.State.LastSeq + 1, FilterSubjects: filters,
	}
	since := o.Since
	if o.lookBack > 0 {
		since = stream.TimeStamp.Add(-o.lookBack)
	}
	if !since.IsZero() {
		c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &since
	}
	return c
}

// eventFilters returns the subjects of the account's events, or all accounts' where it is
// empty, of these outcomes, or all outcomes where there is none.
func (n names) eventFilters(account string, outcomes []worker.Outcome) (filters []string, err error) {
	token := "*"
	if account != "" {
		token = worker.AccountToken(account)
	}
	if len(outcomes) == 0 {
		return []string{string(n) + ".events.*." + token}, nil
	}
	for _, outcome := range outcomes {
		if err := checkOutcome(outcome); err != nil {
			return nil, err
		}
		filters = append(filters, string(n)+".events."+string(outcome)+"."+token)
	}
	slices.Sort(filters)
	return slices.Compact(filters), nil // NATS takes no filter twice
}
