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
	refusedInARow = 3               // different accounts whose refusals say that it is the credential
	trialEvery    = time.Minute     // over all pods, while a tenant is paused
	trialWanted   = 2 * time.Minute // a pod whose jobs asked for one so lately may take one
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
// one job alone. Of several different accounts in a row, with no success in between, they
// say that it is the credential: then the tenant is paused in all pods, and one job a
// minute tries, until one is accepted or the credential has changed.
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
	accounts    map[string]struct{} // refused in a row
	changed     chan struct{}       // closed when the credential has changed, or was accepted after a pause
	logged      time.Time

	paused bool
	since  time.Time
	shared bool          // other pods know
	trials uint64        // as it was last seen
	tried  time.Time     // when that was new
	wanted time.Time     // when a job last asked for a trial
	trial  chan struct{} // holds a permit for one job to try
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

// add notes that the gateway refused a call for the account.
func (r *refusals) add(tenant, wcID, fingerprint string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(tenant, fingerprint)
	e.err = err
	e.accounts[wcID] = struct{}{}
	switch {
	case e.paused:
	case len(e.accounts) >= refusedInARow:
		r.pause(tenant, e)
		r.log.Error("the gateway refuses the tenant's credential: its jobs wait, and one a minute tries; replace the credential",
			"tenant", tenant, "accounts", refusedInARow, "error", err)
	case time.Since(e.logged) > tellAgain:
		e.logged = time.Now()
		r.log.Warn("the gateway refused a call for one account: its job tries again later", "tenant", tenant, "account", wcID, "error", err)
	}
}

// entry returns what is known of the tenant's credential of that fingerprint. r.mu is held.
func (r *refusals) entry(tenant, fingerprint string) *refusal {
	e := r.tenants[tenant]
	if e == nil || e.fingerprint != fingerprint {
		if e != nil {
			r.lift(tenant, e)
		}
		e = &refusal{
			fingerprint: fingerprint, accounts: map[string]struct{}{},
			changed: make(chan struct{}), trial: make(chan struct{}, 1),
		}
		r.tenants[tenant] = e
		r.any.Store(true)
	}
	return e
}

// pause is called with r.mu held.
func (r *refusals) pause(tenant string, e *refusal) {
	e.paused, e.since, e.tried = true, time.Now(), time.Now()
	delete(r.lifted, Credential{tenant, e.fingerprint})
	r.metrics.refused.Inc()
	r.metrics.tenantRefused.WithLabelValues(tenant).Set(1)
}

// lift forgets the tenant's refusals, and lets all go on that wait for its credential.
// r.mu is held.
func (r *refusals) lift(tenant string, e *refusal) {
	delete(r.tenants, tenant)
	r.any.Store(len(r.tenants) > 0)
	close(e.changed)
	if e.paused {
		r.lifted[Credential{tenant, e.fingerprint}] = true
		r.metrics.refused.Dec()
		r.metrics.tenantRefused.DeleteLabelValues(tenant)
	}
}

// accept notes that the gateway took the tenant's credential.
func (r *refusals) accept(tenant, fingerprint string) {
	if !r.any.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = time.Now()
	e := r.tenants[tenant]
	switch {
	case e == nil || e.fingerprint != fingerprint:
	case e.paused:
		r.lift(tenant, e)
		r.log.Info("the gateway accepts the tenant's credential again: its jobs go on", "tenant", tenant,
			"after", time.Since(e.since).Round(time.Second))
	default:
		clear(e.accounts)
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

// of returns how to wait while the tenant is paused, nil when it is not: until changed is
// closed, or a permit to try can be had from trial.
func (r *refusals) of(tenant string) (changed <-chan struct{}, trial chan struct{}) {
	if !r.any.Load() {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.tenants[tenant]; e != nil && e.paused {
		e.wanted = time.Now()
		return e.changed, e.trial
	}
	return nil, nil
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
		r.lift(tenant, e)
		r.log.Info("the tenant's credential has changed: its jobs go on", "tenant", tenant)
	}
}
