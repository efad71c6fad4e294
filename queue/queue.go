package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	maxPendingPublishes = 1 << 16 // events that wait for their acknowledgement
	maxPendingWakes     = 1 << 16

	// How long an acknowledgement is waited for. Without it those that never come, as in a
	// stream that has lost its quorum, would fill the pending ones up.
	eventTimeout   = 5 * time.Second
	publishTimeout = 30 * time.Second // of a job
)

// Queue implements worker.Queue. It is safe for concurrent use.
type Queue struct {
	config    Config
	names     names
	nc        *nats.Conn
	js        jetstream.JetStream
	events    jetstream.Stream
	consumers map[job.Lane]jetstream.Consumer

	heartbeat *heartbeat
	lookups   *lookups
	wakes     chan *nats.Msg // the server's copies of events; one that does not fit is a wake-up lost
	watches   sync.Map       // by the *nats.Subscription: its watch

	stop    context.CancelFunc
	running sync.WaitGroup
}

// Open returns the namespace's queue, which [Setup] has set up. It returns an error
// wrapping [ErrMismatch] when the queue can't serve, as [Check] finds it, and one wrapping
// [nats.ErrPermissionViolation] when this user may not take jobs or publish events; it
// logs what else differs from the config. The caller calls [Queue.Close], and closes the
// connection after that.
func Open(ctx context.Context, nc *nats.Conn, c Config) (*Queue, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := newNames(c.Namespace)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	found, err := Check(ctx, nc, c)
	if err == nil {
		err = refuse(found)
	}
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	warnOf(ctx, c.Logger, found)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxPendingPublishes), jetstream.WithPublishAsyncTimeout(eventTimeout))
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{config: c, names: n, nc: nc, js: js, consumers: map[job.Lane]jetstream.Consumer{}, wakes: make(chan *nats.Msg, maxPendingWakes)}
	if q.events, err = js.Stream(ctx, n.events()); err != nil {
		return nil, fmt.Errorf("open stream %s: %w", n.events(), withPermissionHint(nc, err))
	}
	var ackWait time.Duration
	for _, lane := range lanes {
		consumer, err := js.Consumer(ctx, n.jobs(), string(lane))
		if err != nil {
			return nil, fmt.Errorf("open consumer %s of stream %s: %w", lane, n.jobs(), withPermissionHint(nc, err))
		}
		q.consumers[lane] = consumer
		if has := consumer.CachedInfo().Config.AckWait; ackWait == 0 || has < ackWait {
			ackWait = has
		}
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
	q.running.Go(func() { q.heartbeat.run(ctx) })
	q.running.Go(func() { q.wakeAll(ctx) })
	q.running.Go(func() { every(ctx, lookKeep/4, func() { q.lookups.sweep(time.Now()) }) })
}

// every calls do that often until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}

// Close stops keeping deliveries alive. It blocks until the queue's goroutines have ended.
func (q *Queue) Close() {
	q.stop()
	q.running.Wait()
}

// Backlog returns how many jobs each lane holds: waiting, delayed, and in the hands of
// workers. It asks the server.
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
