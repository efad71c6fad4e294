package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	maxPendingPublishes = 1 << 16 // events that wait for their acknowledgement
	maxPendingWakes     = 1 << 16

	// How long an acknowledgement is waited for: those that never come must not fill the pending ones up.
	eventTimeout   = 5 * time.Second
	publishTimeout = 30 * time.Second // of a job
)

// Queue implements worker.Queue. It is safe for concurrent use.
type Queue struct {
	client
	config    Config
	events    jetstream.Stream
	consumers map[job.Lane]jetstream.Consumer

	heartbeat *heartbeat
	lookups   *lookups
	wakes     chan *nats.Msg // the server's copies of events; one that does not fit is a wake-up lost
	watches   sync.Map       // by the *nats.Subscription: its watch

	closed  atomic.Bool
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open returns the namespace's queue, which [Setup] has set up. It returns an error
// wrapping [ErrMismatch] when the queue can't serve, as [Check] finds it, and one wrapping
// [nats.ErrPermissionViolation] when this user may not take jobs or publish events; it
// logs what else differs from the config. The caller calls [Queue.Close], and closes the
// connection after that.
func Open(ctx context.Context, nc *nats.Conn, c Config) (*Queue, error) {
	client, err := newClient(nc, c.Namespace, jetstream.WithPublishAsyncMaxPending(maxPendingPublishes), jetstream.WithPublishAsyncTimeout(eventTimeout))
	var found []Finding
	if err == nil {
		found, err = Check(ctx, nc, c)
	}
	if err == nil {
		err = refuse(found)
	}
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	warnOf(ctx, c.Logger, found)
	q := &Queue{client: client, config: c, consumers: map[job.Lane]jetstream.Consumer{}, wakes: make(chan *nats.Msg, maxPendingWakes)}
	if q.events, err = q.js.Stream(ctx, q.names.events()); err != nil {
		return nil, fmt.Errorf("open stream %s: %w", q.names.events(), withPermissionHint(nc, err))
	}
	ackWait := time.Duration(math.MaxInt64)
	for _, lane := range lanes {
		consumer, err := q.js.Consumer(ctx, q.names.jobs(), string(lane))
		if err != nil {
			return nil, fmt.Errorf("open consumer %s of stream %s: %w", lane, q.names.jobs(), withPermissionHint(nc, err))
		}
		q.consumers[lane] = consumer
		ackWait = min(ackWait, consumer.CachedInfo().Config.AckWait)
	}
	if err := q.permitted(ctx); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q.start(ackWait)
	return q, nil
}

func warnOf(ctx context.Context, logger *slog.Logger, found []Finding) {
	for _, f := range found {
		logger.WarnContext(ctx, "the queue is not as the settings say", "where", f.Where, "property", f.Property,
			"has", f.Has, "wanted", f.Wanted, "why", f.Why, "remedy", f.Remedy)
	}
}

func (q *Queue) start(ackWait time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	q.stop = stop
	q.heartbeat = newHeartbeat(ackWait)
	q.lookups = newLookups(q.nc, q.events)
	q.running.Go(func() { q.wakeAll(ctx) })
	q.running.Go(func() { every(ctx, q.heartbeat.tick, q.heartbeat.beat) })
	q.running.Go(func() { every(ctx, lookKeep/4, func() { q.lookups.sweep(time.Now()) }) })
}

// every calls do that often until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	for tick := time.Tick(pause); ; {
		select {
		case <-tick:
			do()
		case <-ctx.Done():
			return
		}
	}
}

// Close stops keeping deliveries alive. It blocks until the queue's goroutines have ended.
func (q *Queue) Close() {
	q.closed.Store(true)
	q.stop()
	q.running.Wait()
}

// Backlog asks the server how many jobs each lane holds: waiting, delayed, and in workers' hands.
func (q *Queue) Backlog(ctx context.Context) (map[job.Lane]uint64, error) {
	backlog := map[job.Lane]uint64{}
	for lane, consumer := range q.consumers {
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("read backlog of lane %s: %w", lane, err)
		}
		backlog[lane] = info.NumPending + uint64(info.NumAckPending)
	}
	return backlog, nil
}

// permitted asks for what the server answers without doing it, since a refusal comes as a mere
// silence where jobs are taken. Its error wraps [nats.ErrPermissionViolation].
func (q *Queue) permitted(ctx context.Context) error {
	urgent, normal := refusedPull(q.names.jobs(), string(job.Urgent)), refusedPull(q.names.jobs(), string(job.Normal))
	for _, one := range []*nats.Msg{urgent, normal, refusedPublish(q.names.eventSubject(job.Unknown, ""))} {
		if err := ask(ctx, q.nc, one); errors.Is(err, nats.ErrPermissionViolation) {
			return fmt.Errorf("try %s: %w", one.Subject, err)
		}
	}
	return nil
}

// refusedPull is no request for messages: the server answers with status 400.
func refusedPull(stream, consumer string) *nats.Msg {
	return &nats.Msg{Subject: pullSubject(stream, consumer), Data: []byte("{")}
}

// refusedPublish is a message that no stream stores: the server answers with error 10060.
func refusedPublish(subject string) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{nats.ExpectedStreamHdr: {"none"}}}
}

func ask(ctx context.Context, nc *nats.Conn, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	_, err := nc.RequestMsgWithContext(ctx, msg)
	return withPermissionHint(nc, err)
}
