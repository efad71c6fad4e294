package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker"
)

// watchers calls those who watch an account. One goroutine serves all subscriptions.
type watchers struct {
	nc    *nats.Conn
	names names
	msgs  chan *nats.Msg // the server's copies of events; one that does not fit is a wake-up lost
	all   sync.Map       // by the *nats.Subscription: its watch
}

type watch struct{ ended, freed func() }

func newWatchers(nc *nats.Conn, n names) *watchers {
	return &watchers{nc: nc, names: n, msgs: make(chan *nats.Msg, maxPendingWakes)}
}

// Watch implements [worker.Queue]. After a reconnection ended is called once: events may
// have been missed.
func (q *Queue) Watch(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error) {
	w := q.watchers
	sub, err := q.nc.ChanSubscribe(q.names.account(wcID), w.msgs)
	if err != nil {
		return nil, fmt.Errorf("watch account: %w", err)
	}
	w.all.Store(sub, watch{ended, freed})
	stop = func() {
		w.all.Delete(sub)
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

// Freed implements [worker.Queue].
func (q *Queue) Freed(wcID string) {
	_ = q.nc.Publish(q.names.freed(worker.AccountToken(wcID)), nil) // lost without a connection: a lease ends too
}

func (w *watchers) run(ctx context.Context) {
	connected := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(connected)
	for {
		select {
		case msg := <-w.msgs:
			w.read(msg)
		case <-connected:
			w.all.Range(func(_, one any) bool {
				one.(watch).ended()
				return true
			})
		case <-ctx.Done():
			return
		}
	}
}

// read calls the watch of the subscription that the message came on.
func (w *watchers) read(msg *nats.Msg) {
	one, ok := w.all.Load(msg.Sub)
	switch {
	case !ok: // it has stopped
	case strings.HasPrefix(msg.Subject, w.names.freed("")):
		one.(watch).freed()
	case msg.Header.Get(cePrompted) == "true":
		one.(watch).ended()
	}
}
