package queue

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// FollowOptions says which events to follow.
type FollowOptions struct {
	Namespace string        // relogin unless set
	Account   string        // its wcId; all accounts unless set
	Outcomes  []job.Outcome // all unless set
	Since     time.Time     // from then on, by the server's clock; from now on unless set
	Ready     func()        // called once, before the first event: what is published from here on is seen

	Logger *slog.Logger // told, once a minute at most, of events that can't be read or have an unknown outcome; they are passed over
}

// Follow calls handle with each event, in order and once, across lost connections. It
// blocks until handle returns an error, and returns that, or until ctx ends, and
// returns its cause. An outcome in the options that there is not is an error.
func Follow(ctx context.Context, nc *nats.Conn, o FollowOptions, handle func(*job.Event) error) error {
	return FollowStored(ctx, nc, o, func(e *job.Event, _ time.Time) error { return handle(e) })
}

// FollowStored is [Follow], and tells when each event was stored, by the server's clock.
func FollowStored(ctx context.Context, nc *nats.Conn, o FollowOptions, handle func(e *job.Event, stored time.Time) error) error {
	f, err := o.follow(ctx, nc, 0)
	if err != nil {
		return err
	}
	defer f.stop()
	if o.Ready != nil {
		o.Ready()
	}
	for {
		e, stored, err := f.next(ctx)
		if err == nil {
			err = handle(e, stored)
		}
		if err != nil {
			return err
		}
	}
}

// follower reads events in order and once, across lost connections.
type follower struct {
	nc         *nats.Conn
	msgs       jetstream.MessagesContext
	stop       func()
	logger     *slog.Logger
	passedOver seldom
}

// follow returns a follower, which works until ctx ends or the caller calls stop. A lookBack
// above 0 is how long ago it begins, by the server's clock, in place of the option Since.
func (o *FollowOptions) follow(ctx context.Context, nc *nats.Conn, lookBack time.Duration) (*follower, error) {
	c, err := newClient(nc, o.Namespace)
	var filters []string
	if err == nil {
		filters, err = c.names.eventFilters(o.Account, o.Outcomes)
	}
	if err != nil {
		return nil, fmt.Errorf("follow events: %w", err)
	}
	stream, err := c.js.Stream(ctx, c.names.events())
	if err != nil {
		return nil, fmt.Errorf("follow events of stream %s (relogin setup creates it): %w", c.names.events(), withPermissionHint(nc, err))
	}
	since, info := o.Since, stream.CachedInfo()
	if lookBack > 0 {
		since = info.TimeStamp.Add(-lookBack)
	}
	// After the last event there is, by its number: made again after a lost connection, a
	// consumer that starts with new events would skip what came in between.
	wanted := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: info.State.LastSeq + 1, FilterSubjects: filters,
	}
	if !since.IsZero() {
		wanted.DeliverPolicy, wanted.OptStartSeq, wanted.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &since
	}
	consumer, err := stream.OrderedConsumer(ctx, wanted)
	var msgs jetstream.MessagesContext
	if err == nil {
		msgs, err = consumer.Messages()
	}
	if err != nil {
		return nil, fmt.Errorf("follow events: %w", withPermissionHint(nc, err))
	}
	detach := context.AfterFunc(ctx, msgs.Stop)
	logger := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	return &follower{nc: nc, msgs: msgs, logger: logger, stop: func() { detach(); msgs.Stop() }}, nil
}

// next blocks until there is another event that can be read, and returns when that was stored, too.
func (f *follower) next(ctx context.Context) (*job.Event, time.Time, error) {
	for {
		msg, err := f.msgs.Next()
		if ctx.Err() != nil {
			return nil, time.Time{}, context.Cause(ctx)
		}
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("follow events: %w", withPermissionHint(f.nc, err))
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("follow events: %w", err)
		}
		e, err := decodeEvent(msg.Data(), msg.Headers())
		if err == nil {
			return e, meta.Timestamp, nil
		}
		if times, ok := f.passedOver.write(""); ok {
			f.logger.WarnContext(ctx, "passing over an event that can't be read", "subject", msg.Subject(), "error", err, "times", times)
		}
	}
}

// eventFilters returns the subjects of events. No account, and no outcomes, stand for all.
func (n names) eventFilters(account string, outcomes []job.Outcome) (filters []string, err error) {
	token := "*"
	if account != "" {
		token = job.AccountToken(account)
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
