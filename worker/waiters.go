package worker

import (
	"container/list"
	"context"
	"sync"
)

// waiters is where jobs wait for the account that another job holds: in memory, on the
// account, without a slot and without asking Redis. One subscription to the account's
// events serves all of its jobs in the pod. Each of its operations costs the same,
// however many wait.
type waiters struct {
	watch func(ctx context.Context, wcID string, ended, freed func()) (stop func(), err error)

	mu       sync.Mutex
	accounts map[string]*watchedAccount
}

// watchedAccount is an account with jobs waiting for it.
type watchedAccount struct {
	ready   chan struct{} // closed when the subscription stands, or failed
	err     error         // why it failed; read after ready
	stop    func()
	waiters int
	tenants map[string]*tenantWaiters
}

// tenantWaiters are an account's waiting jobs of one tenant, which share a confirmation.
//
// When a confirmation has ended, one of them asks first, and the others only once it was
// told something new: then they know the shared result already, and a forged or repeated
// message wakes one job, not thousands.
type tenantWaiters struct {
	waiters int
	asleep  list.List    // of *waiter: those that nothing has woken since they last asked
	leading *waiter      // asks before the others do, nil: nobody does
	again   bool         // something has happened since the leader asked
	shared  sharedResult // the last result that one of them was told
}

// sharedResult is the result of a confirmation, which the account's waiting jobs of a tenant share.
type sharedResult struct {
	token  string // of the confirmation; empty: there is none
	result *Result
}

// waiter is a job's place among those that wait.
type waiter struct {
	all      *waiters
	wcID     string
	tenant   string
	at       *watchedAccount
	group    *tenantWaiters
	asleepAt *list.Element // in its tenantWaiters' asleep; nil: it was woken
	woke     chan struct{} // buffered: holds a wake-up that came while nobody waited
}

func newWaiters(q Queue) *waiters {
	return &waiters{watch: q.Watch, accounts: map[string]*watchedAccount{}}
}

// tryAdd returns a place if the account is watched already, else nil. A job that has its place
// before it asks for the account misses no wake-up.
func (ws *waiters) tryAdd(wcID, tenant string) *waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	at, ok := ws.accounts[wcID]
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
	return ws.place(wcID, tenant, at)
}

// add returns a place once the account is watched. It blocks while the
// subscription is made.
func (ws *waiters) add(ctx context.Context, wcID, tenant string) (*waiter, error) {
	ws.mu.Lock()
	at, ok := ws.accounts[wcID]
	if !ok {
		at = &watchedAccount{ready: make(chan struct{}), tenants: map[string]*tenantWaiters{}}
		ws.accounts[wcID] = at
	}
	w := ws.place(wcID, tenant, at)
	ws.mu.Unlock()

	if !ok {
		stop, err := ws.watch(ctx, wcID, func() { ws.ended(wcID) }, func() { ws.freed(wcID) })
		ws.mu.Lock()
		at.stop, at.err = stop, err
		close(at.ready)
		ws.mu.Unlock()
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

// place is called with the lock of waiters held.
func (ws *waiters) place(wcID, tenant string, at *watchedAccount) *waiter {
	c := at.tenants[tenant]
	if c == nil {
		c = &tenantWaiters{}
		at.tenants[tenant] = c
	}
	w := &waiter{all: ws, wcID: wcID, tenant: tenant, at: at, group: c, woke: make(chan struct{}, 1)}
	w.asleepAt = c.asleep.PushBack(w)
	at.waiters++
	c.waiters++
	return w
}

// ended wakes one of the account's jobs of each tenant: a confirmation has ended, and
// they learn for the others how.
func (ws *waiters) ended(wcID string) {
	ws.wake(wcID, func(at *watchedAccount) { at.lead(len(at.tenants)) })
}

// freed wakes one of the account's jobs in this pod: its lock was let go of, and only
// one of them can get it.
func (ws *waiters) freed(wcID string) { ws.wake(wcID, func(at *watchedAccount) { at.lead(1) }) }

func (ws *waiters) wake(wcID string, wake func(*watchedAccount)) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if at := ws.accounts[wcID]; at != nil {
		wake(at)
	}
}

// lead sees to it that one job of each of up to that many tenants asks from now on. The
// lock of waiters is held.
func (at *watchedAccount) lead(tenants int) {
	for _, c := range at.tenants {
		switch {
		case tenants == 0:
			return
		case c.leading != nil:
			c.again = c.again || c.leading.asleepAt != nil // it has asked already
		case c.asleep.Len() > 0:
			c.leading = c.wakeOne()
		default:
			continue // they are about to ask
		}
		tenants--
	}
}

// wakeOne wakes the job that has waited longest. The lock of waiters is held.
func (c *tenantWaiters) wakeOne() *waiter {
	w := c.asleep.Remove(c.asleep.Front()).(*waiter)
	w.asleepAt = nil
	w.woke <- struct{}{} // it has room: who has one in it is not asleep
	return w
}

// ask says that the job asks for its account now, so that every wake-up until then is
// obsolete, and each later one is kept for it. It returns the result that its tenant's jobs
// were told last.
func (w *waiter) ask() sharedResult {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	if w.asleepAt == nil {
		select {
		case <-w.woke:
		default:
		}
		w.asleepAt = w.group.asleep.PushBack(w)
	}
	return w.group.shared
}

// noteAnswer notes what the job was answered. Who leads wakes the others unless the account is
// held, by a confirmation that they wait for as well as this one.
func (w *waiter) noteAnswer(state State, s sharedResult) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	c := w.group
	if state == Shared {
		c.shared = s
	}
	if c.leading != w {
		return
	}
	c.leading = nil
	next := c.again
	c.again = false
	switch state {
	case Held, Granted, Suspended:
	case Shared:
		w.awake()
		for c.asleep.Len() > 0 {
			c.wakeOne()
		}
	default: // it ends otherwise, and the account may be free
		next = true
	}
	if next {
		w.at.lead(1)
	}
}

// leave gives the place back; the last one ends the subscription. Who leads, and leaves
// before it was answered, is followed by another one.
func (w *waiter) leave() {
	ws := w.all
	ws.mu.Lock()
	w.vacate()
	last := w.at.waiters == 0
	if last && ws.accounts[w.wcID] == w.at {
		delete(ws.accounts, w.wcID)
	}
	stop := w.at.stop
	ws.mu.Unlock()
	if last && stop != nil {
		stop()
	}
}

// vacate is called with the lock of waiters held.
func (w *waiter) vacate() {
	c := w.group
	w.awake()
	w.at.waiters--
	if c.waiters--; c.waiters == 0 {
		delete(w.at.tenants, w.tenant)
	}
	if c.leading == w {
		c.leading, c.again = nil, false
		w.at.lead(1)
	}
}

// awake takes the job off those that can be woken. The lock of waiters is held.
func (w *waiter) awake() {
	if w.asleepAt != nil {
		w.group.asleep.Remove(w.asleepAt)
		w.asleepAt = nil
	}
}
