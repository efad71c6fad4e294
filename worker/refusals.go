package worker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	refusedInARow = 3               // accounts that were not refused before, whose refusals say that it is the credential
	maxRefused    = 10_000          // of a tenant's refused accounts so many are remembered
	firstRefusal  = 5 * time.Second // before a job that was refused tries again; then more
	longRefusal   = 5 * time.Minute
)

// Credential names a tenant's credential, and tells nothing of it.
type Credential struct {
	Tenant      string `json:"tenant"`
	Fingerprint string `json:"fingerprint"` // see [Access]
}

// Pauses is where pods tell each other which tenants are paused because the gateway
// refuses their credential. Package queue implements it on a JetStream bucket.
type Pauses interface {
	// LoadPauses returns the refused credentials of paused tenants, how many trials each
	// has had, and a revision to store them against. It blocks until the store has answered.
	LoadPauses(ctx context.Context) (trials map[Credential]uint64, revision uint64, err error)
	// StorePauses replaces them. It returns an error wrapping [ErrConflict] when another
	// pod has stored them since that revision was loaded.
	StorePauses(ctx context.Context, trials map[Credential]uint64, revision uint64) error
}

// ErrConflict is returned by [Pauses] to who was overtaken by another pod.
var ErrConflict = errors.New("another pod was faster")

// refusals remembers whose credential the gateway refused. One refusal says something of
// one account alone. Of several accounts in a row that were not refused before, with no
// success in between, they say that it is the credential: then the tenant is paused in all
// pods. A few jobs try soon after, then one now and then, in the end once a minute, until one
// is accepted or the credential has changed. Which jobs try is left to chance among those
// whose account was not refused yet, if there are any.
type refusals struct {
	log     *slog.Logger
	metrics *Metrics
	pauses  Pauses // nil: this pod is alone

	any      atomic.Bool // tenants has some; read without the lock where none is refused
	mu       sync.Mutex
	tenants  map[string]*refusal
	lifted   map[Credential]bool // of these other pods have to be told
	accepted time.Time           // the last time that the gateway accepted a credential
}

// refusal is what is known of a tenant whose credential was refused.
type refusal struct {
	fingerprint string
	err         error               // what the gateway said last
	accounts    map[string]struct{} // were refused last
	inARow      int                 // how many of them are new since the last success
	longest     time.Duration       // that a refusal took
	changed     chan struct{}       // closed when the credential has changed, or was accepted after a pause
	logged      time.Time

	paused bool
	since  time.Time
	shared bool      // other pods know
	trials uint64    // as it was last seen
	tried  time.Time // when that was new
	credit int       // so many more jobs may try, as calls are open that were not refused

	waiting map[string]map[chan struct{}]struct{} // the jobs that wait, by account: a permit to try is sent on the channel of one
}

// PausedTenant is a tenant whose jobs wait because its credential is refused.
type PausedTenant struct {
	Tenant string
	Since  time.Time
	Err    error // what the gateway said last
}

func newRefusals(o *Options) *refusals {
	return &refusals{
		log: o.Logger, metrics: o.Metrics, pauses: o.Pauses,
		tenants: map[string]*refusal{}, lifted: map[Credential]bool{},
	}
}

// add notes that the gateway refused a call for the account, after that time.
func (r *refusals) add(tenant, wcID, fingerprint string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(tenant, fingerprint)
	e.err, e.longest, e.credit = err, max(e.longest, took), 0
	e.refused(wcID)
	switch {
	case e.paused:
	case e.inARow >= refusedInARow:
		r.pause(tenant, e)
		r.log.Error("the gateway refuses the tenant's credential: its jobs wait, and one tries now and then; replace the credential",
			"tenant", tenant, "accounts", refusedInARow, "error", err)
	case time.Since(e.logged) > tellAgain:
		e.logged = time.Now()
		r.log.Warn("the gateway refused a call for one account: its job tries again later", "tenant", tenant, "account", wcID, "error", err)
	}
}

func (e *refusal) refused(wcID string) {
	if _, before := e.accounts[wcID]; before {
		return
	}
	e.inARow++
	for other := range e.accounts {
		if len(e.accounts) < maxRefused {
			break
		}
		delete(e.accounts, other)
	}
	e.accounts[wcID] = struct{}{}
}

// entry returns what is known of the tenant's credential of that fingerprint. r.mu is held.
func (r *refusals) entry(tenant, fingerprint string) *refusal {
	e := r.tenants[tenant]
	if e == nil || e.fingerprint != fingerprint {
		if e != nil {
			r.forget(tenant, e)
		}
		e = &refusal{
			fingerprint: fingerprint, accounts: map[string]struct{}{},
			changed: make(chan struct{}), waiting: map[string]map[chan struct{}]struct{}{},
		}
		r.tenants[tenant] = e
		r.any.Store(true)
	}
	return e
}

// pause is called with r.mu held.
func (r *refusals) pause(tenant string, e *refusal) {
	e.paused, e.since, e.trials, e.tried, e.credit = true, time.Now(), 0, time.Now(), 0
	delete(r.lifted, Credential{tenant, e.fingerprint})
	r.metrics.refused.Inc()
	r.metrics.tenantRefused.WithLabelValues(tenant).Set(1)
}

// lift lets all go on that wait for the tenant's credential. r.mu is held.
func (r *refusals) lift(tenant string, e *refusal) {
	close(e.changed)
	e.changed = make(chan struct{})
	e.inARow = 0
	if e.paused {
		e.paused, e.shared = false, false
		r.lifted[Credential{tenant, e.fingerprint}] = true
		r.metrics.refused.Dec()
		r.metrics.tenantRefused.DeleteLabelValues(tenant)
	}
}

// forget lifts the tenant's pause, and forgets who was refused. r.mu is held.
func (r *refusals) forget(tenant string, e *refusal) {
	r.lift(tenant, e)
	delete(r.tenants, tenant)
	r.any.Store(len(r.tenants) > 0)
}

// accept notes that the gateway took the tenant's credential in a call for the account.
func (r *refusals) accept(tenant, wcID, fingerprint string) {
	if !r.any.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = time.Now()
	e := r.tenants[tenant]
	if e == nil || e.fingerprint != fingerprint {
		return
	}
	delete(e.accounts, wcID)
	e.inARow, e.longest = 0, 0
	if e.paused {
		r.lift(tenant, e)
		r.log.Info("the gateway accepts the tenant's credential again: its jobs go on", "tenant", tenant,
			"after", time.Since(e.since).Round(time.Second))
	}
}

// changed returns a channel that is closed when the tenant's credential changes, nil when
// it was not refused.
func (r *refusals) changed(tenant string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.tenants[tenant]; e != nil {
		return e.changed
	}
	return nil
}

// isPaused reports whether the tenant is paused.
func (r *refusals) isPaused(tenant string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	return e != nil && e.paused
}

// paused returns the tenants that are paused, by name, and whether the gateway has
// accepted any credential since the first of them was.
func (r *refusals) paused() (all []PausedTenant, otherwise bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tenant := range slices.Sorted(maps.Keys(r.tenants)) {
		if e := r.tenants[tenant]; e.paused {
			all = append(all, PausedTenant{Tenant: tenant, Since: e.since, Err: e.err})
			otherwise = otherwise || r.accepted.After(e.since)
		}
	}
	return all, otherwise
}

// review lets those go on whose credential has changed or is gone.
func (r *refusals) review(access func(tenant string) (Access, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tenant, e := range r.tenants {
		if a, err := access(tenant); err == nil && a.Fingerprint == e.fingerprint {
			continue
		}
		r.forget(tenant, e)
		r.log.Info("the tenant's credential has changed: its jobs go on", "tenant", tenant)
	}
}
