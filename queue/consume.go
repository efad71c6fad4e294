package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// consumerPendingEvents bounds what a lasting failure makes the server remember of a consumer.
const consumerPendingEvents = 10_000

// consumerName is what a durable consumer's name may be.
var consumerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ConsumeOptions says which events to consume, and how. Name is required.
type ConsumeOptions struct {
	Namespace string        // relogin unless set
	Name      string        // of the durable consumer: 1 to 64 of A-Z a-z 0-9 _ -
	Account   string        // its wcId; all accounts unless set
	Outcomes  []job.Outcome // all unless set
	Since     time.Time     // where a new name begins: with the events stored from then on, by the server's clock; with all that are kept unless set

	MaxInFlight   int           // handlers that run at once in this instance; 16 unless set
	MaxDeliveries int           // of an event before it goes to the dead stream; 20 unless set
	RetryPause    time.Duration // before a failed event is handled again; it doubles with each failure; 1 s unless set
	MaxRetryPause time.Duration // the longest pause; 5 min, or RetryPause where that is longer, unless set
	AckWait       time.Duration // of a new name: after this the events of an instance that died go to others; 30 s unless set

	Logger *slog.Logger // told of failures, seldom, and of every event that goes to the dead stream
}

// Consume calls handle with the events of the namespace, for all programs that use the same
// Name together: each event goes to one of them, at least once. The server keeps which
// events are done under that name, as a durable consumer of the events stream, so that
// another start resumes there. Consume creates it where it is missing. To change Account or
// Outcomes, choose another name, or delete the consumer and with it what is done.
//
// An event is done once handle has returned nil. It comes again when the program dies before
// that, and perhaps when the connection is lost, so handle must be idempotent: the event's ID
// is the same each time. After an error, or a panic, it comes again after a pause that grows.
// Events are handled in no order. handle may take as long as it likes: the server is told that
// the event is in progress. No more come while 10,000 of a name are in handlers or wait.
//
// An event that was delivered MaxDeliveries times and not done goes to the dead stream, on
// the subject <namespace>.dead.events, with the reason in the header Relogin-Reason and the
// name in Relogin-Consumer; with the default options that is after about an hour. One that
// can't be read, or has an outcome that this version does not know, goes there at once.
// Deliveries that ended with the program count too.
//
// Consume blocks until ctx ends and all handlers have returned, and returns ctx's cause.
// Then no new handler starts, and the context of those that run has ended: a handler that
// returns nil has still done its event, one that returns an error hands it back for another
// instance. Consume returns an error at once for options that are wrong, all of them named,
// for a stream that is missing, a permission that this user lacks, and a consumer that can't
// serve, wrapping [ErrMismatch]; later only when the consumer was deleted or the connection
// closed. It goes on across lost connections and restarts of the server.
func Consume(ctx context.Context, nc *nats.Conn, o ConsumeOptions, handle func(context.Context, *job.Event) error) error {
	client, clientErr := newClient(nc, o.Namespace)
	want, err := o.complete(client.names)
	if err := errors.Join(clientErr, err, require(handle != nil, "handle is nil")); err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	c := &consumption{client: client, ConsumeOptions: o, handle: handle, slots: make(chan struct{}, o.MaxInFlight)}
	ackWait, err := c.open(ctx, want)
	if err == nil {
		c.heartbeat = newHeartbeat(ackWait)
		err = c.run(ctx)
	}
	if err != nil {
		return fmt.Errorf("consume events: %w", withPermissionHint(nc, err))
	}
	return context.Cause(ctx)
}

// complete fills in the defaults and returns the consumer that is wanted, or all that is wrong.
func (o *ConsumeOptions) complete(n names) (consumerConfig, error) {
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 16)
	o.MaxDeliveries = cmp.Or(o.MaxDeliveries, 20)
	o.RetryPause = cmp.Or(o.RetryPause, time.Second)
	o.MaxRetryPause = cmp.Or(o.MaxRetryPause, max(o.RetryPause, 5*time.Minute))
	o.AckWait = cmp.Or(o.AckWait, 30*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	filters, filterErr := n.eventFilters(o.Account, o.Outcomes)
	want := consumerConfig{
		Durable: o.Name, Description: "handles events: queue.Consume", AckPolicy: jetstream.AckExplicitPolicy, AckWait: o.AckWait,
		MaxDeliver: -1, MaxAckPending: consumerPendingEvents, FilterSubjects: filters,
	}
	if len(filters) == 1 { // permissions are for this form
		want.FilterSubject, want.FilterSubjects = filters[0], nil
	}
	if !o.Since.IsZero() {
		want.DeliverPolicy, want.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.Since
	}
	return want, errors.Join(filterErr,
		require(consumerName.MatchString(o.Name), "option Name %q: want 1 to 64 of A-Z a-z 0-9 _ -", o.Name),
		require(o.MaxInFlight > 0 && o.MaxInFlight <= consumerPendingEvents, "option MaxInFlight %d: want 1 to %d", o.MaxInFlight, consumerPendingEvents),
		require(o.MaxDeliveries > 0, "option MaxDeliveries %d: want at least 1", o.MaxDeliveries),
		require(o.RetryPause > 0, "option RetryPause %v: want more than 0", o.RetryPause),
		require(o.MaxRetryPause >= o.RetryPause, "option MaxRetryPause %v: want at least RetryPause, which is %v", o.MaxRetryPause, o.RetryPause),
		require(o.AckWait >= leastAckWait, "option AckWait %v: want at least %v", o.AckWait, leastAckWait))
}

func require(right bool, format string, args ...any) error {
	if right {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// open creates the consumer where it is missing, checks it and this user's permissions, and
// returns the consumer's own AckWait.
func (c *consumption) open(ctx context.Context, want consumerConfig) (ackWait time.Duration, err error) {
	p := &plan{client: c.client, config: &Config{Namespace: string(c.names)}}
	one := p.consumer(ofReader, c.names.events(), want)
	one.inPlace = fmt.Sprintf("nats consumer edit %s %s", c.names.events(), c.Name)
	one.remake = fmt.Sprintf("choose another Name, or delete the consumer, which forgets what is done: nats consumer rm %s %s", c.names.events(), c.Name)
	one.read = func(ctx context.Context) (*consumerConfig, error) {
		have, err := p.readConsumer(ctx, c.names.events(), c.Name)
		if have != nil {
			if everything := string(c.names) + ".events.*.*"; want.FilterSubject == everything && have.FilterSubject == "" && len(have.FilterSubjects) == 0 {
				have.FilterSubject = everything // no filter is the same
			}
			ackWait = have.AckWait
		}
		return have, err
	}
	err = one.fill(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("%w: relogin setup creates stream %s", err, c.names.events())
	}
	var found []Finding
	if err == nil {
		found, err = one.check(ctx)
	}
	if err == nil {
		err = refuse(found)
	}
	if err != nil {
		return 0, err
	}
	warnOf(ctx, c.Logger, found)
	if err := ask(ctx, c.nc, refusedPull(c.names.events(), c.Name)); err != nil {
		return 0, fmt.Errorf("try to take events: %w", err)
	}
	if err := ask(ctx, c.nc, refusedPublish(c.names.deadEvents())); err != nil {
		return 0, fmt.Errorf("try to publish to %s: %w: is stream %s there? relogin setup creates it", c.names.deadEvents(), err, c.names.dead())
	}
	return ackWait, nil
}
