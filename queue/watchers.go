package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// watch is what is called for those who watch an account.
type watch struct{ ended, freed func() }

// Watch implements worker.Queue. A reconnection calls ended: events may have been missed.
func (q *Queue) Watch(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error) {
	sub, err := q.nc.ChanSubscribe(q.names.account(wcID), q.wakes)
	if err != nil {
		return nil, fmt.Errorf("watch account: %w", err)
	}
	q.watches.Store(sub, watch{ended, freed})
	stop = func() {
		q.watches.Delete(sub)
		_ = sub.Unsubscribe() // fails when the connection is closed
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := q.nc.FlushWithContext(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("watch account: %w", err)
	}
	return stop, nil
}

// Freed implements worker.Queue.
func (q *Queue) Freed(wcID string) {
	_ = q.nc.Publish(q.names.freed(job.AccountToken(wcID)), nil) // lost without a connection: a lease ends too
}

// wakeAll serves all subscriptions until ctx ends.
func (q *Queue) wakeAll(ctx context.Context) {
	connected := q.nc.StatusChanged(nats.CONNECTED)
	defer q.nc.RemoveStatusListener(connected)
	for {
		select {
		case msg := <-q.wakes:
			q.wake(msg)
		case <-connected:
			q.watches.Range(func(_, one any) bool {
				one.(watch).ended()
				return true
			})
		case <-ctx.Done():
			return
		}
	}
}

// wake calls the watch of the subscription that the message came on.
func (q *Queue) wake(msg *nats.Msg) {
	one, ok := q.watches.Load(msg.Sub)
	switch {
	case !ok: // it has stopped
	case strings.HasPrefix(msg.Subject, q.names.freed("")):
		one.(watch).freed()
	case msg.Header.Get(cePrompted) == "true":
		one.(watch).ended()
	}
}
