package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
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

	mu    sync.Mutex
	calls map[string]map[*watch]struct{} // by the pattern that is subscribed to
}

// watch is one watcher. An account may have two for a moment: the last one leaves
// while the next one comes.
type watch struct{ ended, freed func() }

func newWatchers(nc *nats.Conn, n names) *watchers {
	return &watchers{nc: nc, names: n, msgs: make(chan *nats.Msg, maxPendingWakes), calls: map[string]map[*watch]struct{}{}}
}

// Watch implements [worker.Queue]. After a reconnection ended is called once: events may
// have been missed.
func (q *Queue) Watch(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error) {
	w := q.watchers
	pattern := q.names.account(wcID)
	one := &watch{ended, freed}
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

// Freed implements [worker.Queue].
func (q *Queue) Freed(wcID string) {
	_ = q.nc.Publish(q.names.freed(worker.AccountToken(wcID)), nil) // lost without a connection: a lease ends too
}

func (w *watchers) add(pattern string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls[pattern] == nil {
		w.calls[pattern] = map[*watch]struct{}{}
	}
	w.calls[pattern][one] = struct{}{}
}

func (w *watchers) remove(pattern string, one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.calls[pattern], one)
	if len(w.calls[pattern]) == 0 {
		delete(w.calls, pattern)
	}
}

func (w *watchers) run(ctx context.Context) {
	connected := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(connected)
	for {
		select {
		case msg := <-w.msgs:
			w.read(msg)
		case <-connected:
			w.wakeAll()
		case <-ctx.Done():
			return
		}
	}
}

// read calls those whom the message is for.
func (w *watchers) read(msg *nats.Msg) {
	account := msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:]
	call := func(one *watch) { one.ended() }
	if msg.Subject == w.names.freed(account) {
		call = func(one *watch) { one.freed() }
	} else if msg.Header.Get(cePrompted) != "true" {
		return
	}
	w.each(w.names.accountToken(account), call)
}

func (w *watchers) each(pattern string, call func(*watch)) {
	w.mu.Lock()
	watches := slices.Collect(maps.Keys(w.calls[pattern]))
	w.mu.Unlock()
	for _, one := range watches {
		call(one)
	}
}

func (w *watchers) wakeAll() {
	w.mu.Lock()
	patterns := slices.Collect(maps.Keys(w.calls))
	w.mu.Unlock()
	for _, pattern := range patterns {
		w.each(pattern, func(one *watch) { one.ended() })
	}
}
