package worker

import (
	"container/list"
	"context"
	"sync"

	"github.com/relogin/relogin/worker/job"
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
	all       *waiters
	wcID      string
	subscribe func() error // makes the subscription, once for all of its jobs
	stop      func()       // ends it; nil: it does not stand
	tenants   map[string]*tenantWaiters
}

// tenantWaiters are an account's waiting jobs of one tenant, which share a confirmation.
//
// When a confirmation has ended, one of them asks first, and the others only once it was
// told something new: then they know the shared result already, and a forged or repeated
// message wakes one job, not thousands.
type tenantWaiters struct {
	at      *watchedAccount
	tenant  string
	jobs    int
	asleep  list.List    // of *waiter: those that nothing has woken since they last asked
	leading *waiter      // asks before the others do, nil: nobody does
	again   bool         // something has happened since the leader asked
	shared  sharedResult // the last result that one of them was told
}

// sharedResult is the result of a confirmation, which the account's waiting jobs of a tenant share.
type sharedResult struct {
	token  string // of the confirmation; empty: there is none
	result *job.Result
}

// waiter is a job's place among those that wait.
type waiter struct {
	group    *tenantWaiters
	asleepAt *list.Element // in its tenantWaiters' asleep; nil: it was woken
	woke     chan struct{} // buffered: holds a wake-up that came while nobody waited
}

// tryAdd returns a place if the account is watched already, else nil. A job that has its place
// before it asks for the account misses no wake-up.
func (ws *waiters) tryAdd(wcID, tenant string) *waiter {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if at := ws.accounts[wcID]; at != nil && at.stop != nil {
		return at.place(tenant)
	}
	return nil
}

// add returns a place once the account is watched. It blocks while the
// subscription is made.
func (ws *waiters) add(ctx context.Context, wcID, tenant string) (*waiter, error) {
	ws.mu.Lock()
	at := ws.accounts[wcID]
	if at == nil {
		at = &watchedAccount{all: ws, wcID: wcID, tenants: map[string]*tenantWaiters{}}
		// The end of a confirmation wakes one of the account's jobs of each tenant, which learn for
		// the others how it ended. A lock that was let go of wakes one of all: only one can get it.
		at.subscribe = sync.OnceValue(func() error {
			stop, err := ws.watch(ctx, wcID, func() { at.wake(true) }, func() { at.wake(false) })
			ws.mu.Lock()
			defer ws.mu.Unlock()
			at.stop = stop
			return err
		})
		ws.accounts[wcID] = at
	}
	w := at.place(tenant)
	ws.mu.Unlock()
	if err := at.subscribe(); err != nil {
		w.leave()
		return nil, err
	}
	return w, nil
}

func (at *watchedAccount) wake(ofEachTenant bool) {
	at.all.mu.Lock()
	defer at.all.mu.Unlock()
	at.lead(ofEachTenant)
}

// place is called with the lock of waiters held.
func (at *watchedAccount) place(tenant string) *waiter {
	c := at.tenants[tenant]
	if c == nil {
		c = &tenantWaiters{at: at, tenant: tenant}
		at.tenants[tenant] = c
	}
	w := &waiter{group: c, woke: make(chan struct{}, 1)}
	w.asleepAt = c.asleep.PushBack(w)
	c.jobs++
	return w
}

// lead sees to it that one job, or one of each tenant, asks from now on. The lock of waiters
// is held.
func (at *watchedAccount) lead(ofEachTenant bool) {
	for _, c := range at.tenants {
		switch {
		case c.leading != nil:
			c.again = c.again || c.leading.asleepAt != nil // it has asked already
		case c.asleep.Len() > 0:
			c.leading = c.wakeOne()
		default:
			continue // they are about to ask
		}
		if !ofEachTenant {
			return
		}
	}
}

// wakeOne wakes the job that has waited longest. The lock of waiters is held.
func (c *tenantWaiters) wakeOne() *waiter {
	w := c.asleep.Front().Value.(*waiter)
	w.awake()
	w.woke <- struct{}{} // it has room: who has one in it is not asleep
	return w
}

// ask says that the job asks for its account now, so that every wake-up until then is
// obsolete, and each later one is kept for it. It returns the result that its tenant's jobs
// were told last.
func (w *waiter) ask() sharedResult {
	all := w.group.at.all
	all.mu.Lock()
	defer all.mu.Unlock()
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
	all := w.group.at.all
	all.mu.Lock()
	defer all.mu.Unlock()
	c := w.group
	if state == Shared {
		c.shared = s
	}
	if c.leading != w {
		return
	}
	if w.asleepAt == nil && (state == Held || state == Suspended) {
		return // it was woken after it had asked: it asks again, and its answer then is for all
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
		c.at.lead(false)
	}
}

// leave gives the place back; the last one ends the subscription. Who leads, and leaves
// before it was answered, is followed by another one.
func (w *waiter) leave() {
	c, at := w.group, w.group.at
	at.all.mu.Lock()
	w.awake()
	if c.jobs--; c.jobs == 0 {
		delete(at.tenants, c.tenant)
	}
	if c.leading == w {
		c.leading, c.again = nil, false
		at.lead(false)
	}
	last := len(at.tenants) == 0
	if last {
		delete(at.all.accounts, at.wcID)
	}
	stop := at.stop
	at.all.mu.Unlock()
	if last && stop != nil {
		stop()
	}
}

// awake takes the job off those that can be woken. The lock of waiters is held.
func (w *waiter) awake() {
	if w.asleepAt != nil {
		w.group.asleep.Remove(w.asleepAt)
		w.asleepAt = nil
	}
}
