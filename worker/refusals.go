package worker

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/relogin/relogin/worker/job"
)

const (
	refusedInARow = 3               // accounts that were not refused before, whose refusals say that it is the credential
	maxRefused    = 10_000          // of a tenant's refused accounts so many are remembered
	firstRefusal  = 5 * time.Second // before a job that was refused tries again; then more
	longRefusal   = 5 * time.Minute
)

// SharedRefusals is where pods tell each other which tenants are paused because the gateway
// refuses their credential. Package queue implements it on a JetStream bucket.
type SharedRefusals interface {
	// UpdateRefusals calls change with the refused credentials of paused tenants and how many
	// trials each has had, and stores what that makes of them. It blocks until the store has
	// answered, and tells whether it has stored that: it has not when another pod has stored
	// others meanwhile.
	UpdateRefusals(ctx context.Context, change func(trials map[job.Credential]uint64)) (stored bool, err error)
}

// ownRefusals keeps those of a pod that has no others.
type ownRefusals map[job.Credential]uint64

func (p ownRefusals) UpdateRefusals(_ context.Context, change func(trials map[job.Credential]uint64)) (bool, error) {
	change(p)
	return true, nil
}

// refusals remembers whose credential the gateway refused. One refusal says something of
// one account alone. Of several accounts in a row that were not refused before, with no
// success in between, they say that it is the credential: then the tenant is paused in all
// pods. A few jobs try soon after, then one now and then, in the end once a minute, until one
// is accepted or the credential has changed. Which jobs try is left to chance among those
// whose account was not refused yet, if there are any.
type refusals struct {
	log     *slog.Logger
	metrics *Metrics
	shared  SharedRefusals

	mu       sync.Mutex
	tenants  map[string]*refusal
	untold   map[job.Credential]bool // what this pod has found out and other pods have to be told: whether it is refused
	accepted time.Time               // the last time that the gateway accepted a credential
}

// refusal is what is known of a credential that was refused.
type refusal struct {
	job.Credential
	err      error           // what the gateway said last
	accounts map[string]bool // those that were refused last
	inARow   int             // how many of them are new since the last success
	longest  time.Duration   // that a refusal took
	changed  chan struct{}   // closed when the credential has changed, or was accepted after a pause
	logged   time.Time

	paused  bool // its tenant is
	since   time.Time
	trials  uint64           // as it was last seen
	tried   time.Time        // when that was new
	credit  int              // so many more jobs may try, as calls are open that were not refused
	waiting map[string]*turn // the jobs that wait, by account
}

// RefusedTenant is a tenant whose jobs wait because its credential is refused.
type RefusedTenant struct {
	Tenant string
	Since  time.Time
	Err    error // what the gateway said last
}

// add notes that the gateway refused a call for the account, after that time. It returns a
// channel that is closed when the credential changes, or is accepted after a pause.
func (r *refusals) add(c job.Credential, wcID string, took time.Duration, err error) (changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(c)
	e.err, e.longest, e.credit = err, max(e.longest, took), 0
	if !e.accounts[wcID] {
		e.inARow++
		if len(e.accounts) == maxRefused {
			clear(e.accounts) // those that are refused still are soon known again
		}
		e.accounts[wcID] = true
	}
	switch {
	case e.paused:
	case e.inARow >= refusedInARow:
		r.pause(e)
		r.log.Error("the gateway refuses the tenant's credential: its jobs wait, and one tries now and then; replace the credential",
			"tenant", c.Tenant, "accounts", refusedInARow, "error", err)
	case time.Since(e.logged) > tellAgain:
		e.logged = time.Now()
		r.log.Warn("the gateway refused a call for one account: its job tries again later", "tenant", c.Tenant, "account", wcID, "error", err)
	}
	return e.changed
}

// find returns what is known of the credential, nil when it was not refused. r.mu is held.
func (r *refusals) find(c job.Credential) *refusal {
	if e := r.tenants[c.Tenant]; e != nil && e.Credential == c {
		return e
	}
	return nil
}

// entry returns what is known of the credential, from now on. r.mu is held.
func (r *refusals) entry(c job.Credential) *refusal {
	e := r.find(c)
	if e == nil {
		r.forget(c.Tenant)
		e = &refusal{Credential: c, accounts: map[string]bool{}, changed: make(chan struct{}), waiting: map[string]*turn{}}
		r.tenants[c.Tenant] = e
	}
	return e
}

// pause is called with r.mu held.
func (r *refusals) pause(e *refusal) {
	e.paused, e.since, e.trials, e.tried, e.credit = true, time.Now(), 0, time.Now(), 0
	r.untold[e.Credential] = true
	r.metrics.refused.Inc()
	r.metrics.tenantRefused.WithLabelValues(e.Tenant).Set(1)
}

// lift lets all go on that wait for the credential. r.mu is held.
func (r *refusals) lift(e *refusal) {
	close(e.changed)
	e.changed = make(chan struct{})
	e.inARow = 0
	if e.paused {
		e.paused = false
		r.untold[e.Credential] = false
		r.metrics.refused.Dec()
		r.metrics.tenantRefused.DeleteLabelValues(e.Tenant)
	}
}

// forget lifts the tenant's pause, and forgets who was refused. r.mu is held.
func (r *refusals) forget(tenant string) {
	if e := r.tenants[tenant]; e != nil {
		r.lift(e)
		delete(r.tenants, tenant)
	}
}

// accept notes that the gateway took the credential in a call for the account.
func (r *refusals) accept(c job.Credential, wcID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted = time.Now()
	e := r.find(c)
	if e == nil {
		return
	}
	delete(e.accounts, wcID)
	e.inARow, e.longest = 0, 0
	if e.paused {
		r.lift(e)
		r.log.Info("the gateway accepts the tenant's credential again: its jobs go on", "tenant", c.Tenant,
			"after", time.Since(e.since).Round(time.Second))
	}
}

// wasPaused tells whether the tenant is paused, and was so when the deadline passed of a job
// that was stored before.
func (r *refusals) wasPaused(tenant string, stored, deadline time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	return e != nil && e.paused && deadline.After(e.since) && deadline.After(stored)
}

// RefusedTenants returns the tenants whose jobs wait because the gateway refuses their credential, by
// name, and whether it has accepted another one's since.
func (w *Worker) RefusedTenants() (all []RefusedTenant, otherwise bool) {
	r := w.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tenant := range slices.Sorted(maps.Keys(r.tenants)) {
		if e := r.tenants[tenant]; e.paused {
			all = append(all, RefusedTenant{Tenant: tenant, Since: e.since, Err: e.err})
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
		if a, err := access(tenant); err != nil || a.Fingerprint != e.Fingerprint {
			r.forget(tenant)
			r.log.Info("the tenant's credential has changed: its jobs go on", "tenant", tenant)
		}
	}
}
