package worker

import (
	"context"
	"sync"
)

// lot is where jobs wait for the account that another job holds: in memory, on the
// account, without a slot and without asking Redis. One subscription to the account's
// events serves all of its jobs in the pod.
type lot struct {
	watch func(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error)

	mu       sync.Mutex
	accounts map[string]*watched
}

// watched is an account with jobs waiting for it.
type watched struct {
	ready   chan struct{} // closed when the subscription stands, or failed
	err     error         // why it failed; read after ready
	stop    func()
	waiters map[*waiter]struct{}
}

// waiter is a job's place in the lot.
type waiter struct {
	lot  *lot
	wcID string
	at   *watched
	woke chan struct{} // buffered: holds a wake-up that came while nobody waited
}

func newLot(q Queue) *lot {
	return &lot{watch: q.Watch, accounts: map[string]*watched{}}
}

// join returns a place if the account is watched already, else nil. Taken before the
// account is asked for, no wake-up can be missed.
func (l *lot) join(wcID string) *waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.accounts[wcID]
	if !ok {
		return nil
	}
	select {
	case <-at.ready:
	default:
		return nil
	}
	if at.err != nil {
		return nil
	}
	return l.place(wcID, at)
}

// enter returns a place once the account is watched. It blocks while the
// subscription is made.
func (l *lot) enter(ctx context.Context, wcID string) (*waiter, error) {
	l.mu.Lock()
	at, ok := l.accounts[wcID]
	if !ok {
		at = &watched{ready: make(chan struct{}), waiters: map[*waiter]struct{}{}}
		l.accounts[wcID] = at
	}
	w := l.place(wcID, at)
	l.mu.Unlock()

	if !ok {
		stop, err := l.watch(ctx, wcID, func() { l.wake(wcID) }, func() { l.wakeOne(wcID) })
		l.mu.Lock()
		at.stop, at.err = stop, err
		close(at.ready)
		l.mu.Unlock()
	}
	select {
	case <-at.ready:
	case <-ctx.Done():
		w.leave()
		return nil, context.Cause(ctx)
	}
	if at.err != nil {
		w.leave()
		return nil, at.err
	}
	return w, nil
}

// place is called with l.mu held.
func (l *lot) place(wcID string, at *watched) *waiter {
	w := &waiter{lot: l, wcID: wcID, at: at, woke: make(chan struct{}, 1)}
	at.waiters[w] = struct{}{}
	return w
}

// wakeOne wakes one of the account's jobs in this pod: its lock was let go of, and only
// one of them can get it.
func (l *lot) wakeOne(wcID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.accounts[wcID]; at != nil {
		at.wakeOne()
	}
}

// wakeOne is called with the lot's lock held. It passes over those that are awake.
func (at *watched) wakeOne() {
	for w := range at.waiters {
		select {
		case w.woke <- struct{}{}:
			return
		default:
		}
	}
}

// wake wakes all of the account's jobs in this pod: a confirmation has ended.
func (l *lot) wake(wcID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.accounts[wcID]
	if at == nil {
		return
	}
	for w := range at.waiters {
		select {
		case w.woke <- struct{}{}:
		default:
		}
	}
}

// leave gives the place back; the last one ends the subscription. The next one is woken:
// it may be this one that was woken for a free account, and had no use for it.
func (w *waiter) leave() {
	l := w.lot
	l.mu.Lock()
	delete(w.at.waiters, w)
	w.at.wakeOne()
	last := len(w.at.waiters) == 0
	if last && l.accounts[w.wcID] == w.at {
		delete(l.accounts, w.wcID)
	}
	stop := w.at.stop
	l.mu.Unlock()
	if last && stop != nil {
		stop()
	}
}
