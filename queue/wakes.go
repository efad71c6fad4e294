package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	calls map[string]map[*watch]struct{} // by the pattern that is subscribed to
}

// watch is one watcher. An account may have two for a moment: the last one leaves
// while the next one comes.
type watch struct{ wake func() }

func newWakes(nc *nats.Conn, n names) *wakes {
	return &wakes{nc: nc, names: n, msgs: make(chan *nats.Msg, maxPendingWakes), calls: map[string]map[*watch]struct{}{}}
}

// Watch implements [worker.Queue]. After a reconnection wake is called once: events may
// have been missed.
func (q *Queue) Watch(ctx context.Context, wcID string, wake func()) (stop func(), err error) {
	w := q.wakes
	pattern := q.names.accountEvents(wcID)
	one := &watch{wake}
	w.add(pattern, one)
	sub, err := q.nc.ChanSubscribe(pattern, w.msgs)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if err = q.nc.FlushWithContext(ctx); err != nil {
			_ = sub.Unsubscribe() // the connection is lost, and the subscription with it
		}
	}
	if err != nil {
		w.remove(pattern, one)
		return nil, fmt.Errorf("watch account: %w", err)
	}
	return func() {
		w.remove(pattern, one)
		_ = sub.Unsubscribe() // fails when the connection is closed
	}, nil
}

func (w *wakes) add(pattern string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls[pattern] == nil {
		w.calls[pattern] = map[*watch]struct{}{}
	}
	w.calls[pattern][one] = struct{}{}
}

func (w *wakes) remove(pattern string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.calls[pattern], one)
	if len(w.calls[pattern]) == 0 {
		delete(w.calls, pattern)
	}
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
	calls := slices.Collect(maps.Keys(w.calls[pattern]))
	w.mu.Unlock()
	for _, one := range calls {
		one.wake()
	}
}

func (w *wakes) wakeAll() {
	w.mu.Lock()
	patterns := slices.Collect(maps.Keys(w.calls))
	w.mu.Unlock()
	for _, pattern := range patterns {
		w.wake(pattern)
	}
}
