package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// wakes calls those who watch an account. One goroutine serves all subscriptions.
type wakes struct {
	nc    *nats.Conn
	names names
	msgs  chan *nats.Msg // the server's copies of events; one that does not fit is a wake-up lost

	mu    sync.Mutex
	calls map[string]func() // by the pattern that is subscribed to
}

func newWakes(nc *nats.Conn, n names) *wakes {
	return &wakes{nc: nc, names: n, msgs: make(chan *nats.Msg, maxPendingWakes), calls: map[string]func(){}}
}

// Watch implements [worker.Queue]. One watcher an account is served at a time. After a
// reconnection wake is called once: events may have been missed.
func (q *Queue) Watch(ctx context.Context, wcID string, wake func()) (stop func(), err error) {
	w := q.wakes
	pattern := q.names.accountEvents(wcID)
	w.set(pattern, wake)
	sub, err := q.nc.ChanSubscribe(pattern, w.msgs)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err = q.nc.FlushWithContext(ctx); err != nil {
			_ = sub.Unsubscribe() // the connection is lost, and the subscription with it
		}
	}
	if err != nil {
		w.set(pattern, nil)
		return nil, fmt.Errorf("watch account: %w", err)
	}
	return func() {
		w.set(pattern, nil)
		_ = sub.Unsubscribe() // fails when the connection is closed
	}, nil
}

func (w *wakes) set(pattern string, wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wake == nil {
		delete(w.calls, pattern)
		return
	}
	w.calls[pattern] = wake
}

func (w *wakes) run(ctx context.Context) {
	connected := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(connected)
	for {
		select {
		case msg := <-w.msgs:
			if msg.Header.Get(cePrompted) == "true" {
				account := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
				w.wake(string(w.names) + ".events.*." + account)
			}
		case <-connected:
			w.wakeAll()
		case <-ctx.Done():
			return
		}
	}
}

func (w *wakes) wake(pattern string) {
	w.mu.Lock()
	wake := w.calls[pattern]
	w.mu.Unlock()
	if wake != nil {
		wake()
	}
}

func (w *wakes) wakeAll() {
	w.mu.Lock()
	all := make([]func(), 0, len(w.calls))
	for _, wake := range w.calls {
		all = append(all, wake)
	}
	w.mu.Unlock()
	for _, wake := range all {
		wake()
	}
}
