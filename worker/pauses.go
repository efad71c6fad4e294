package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// share learns from other pods which tenants are paused, tells them of those that this
// pod has paused or lifted, and takes trials that are due. It blocks until the store has
// answered; an error changes nothing, and the pod goes by what it knows.
func (r *refusals) share(ctx context.Context, access func(tenant string) (Access, error)) error {
	if r.pauses == nil {
		_, tried := r.merged(nil)
		r.grant(tried)
		return nil
	}
	stored, revision, err := r.pauses.LoadPauses(ctx)
	if err != nil {
		return fmt.Errorf("load paused tenants: %w", err)
	}
	r.adopt(stored, access)
	next, tried := r.merged(stored)
	if maps.Equal(next, stored) { // nothing is new
		return nil
	}
	err = r.pauses.StorePauses(ctx, next, revision)
	switch {
	case errors.Is(err, ErrConflict):
		return nil // the next time
	case err != nil:
		return fmt.Errorf("store paused tenants: %w", err)
	}
	r.published(next)
	r.grant(tried)
	return nil
}

// adopt does here what other pods have done: pause, lift, or try.
func (r *refusals) adopt(stored map[Credential]uint64, access func(tenant string) (Access, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tenant, e := range r.tenants {
		if _, there := stored[e.credential(tenant)]; e.shared && !there {
			r.lift(tenant, e)
			delete(r.lifted, e.credential(tenant))
			r.log.Info("another pod found that the gateway accepts the tenant's credential: its jobs go on", "tenant", tenant)
		}
	}
	for c, trials := range stored {
		a, err := access(c.Tenant)
		if err != nil || a.Fingerprint != c.Fingerprint || r.lifted[c] {
			continue // this pod has another credential, or knows better
		}
		e := r.entry(c.Tenant, c.Fingerprint)
		if !e.paused {
			e.err = errElsewhere
			r.pause(c.Tenant, e)
			r.log.Warn("another pod found that the gateway refuses the tenant's credential: its jobs wait; replace the credential", "tenant", c.Tenant)
		}
		e.shared = true
		if e.trials != trials {
			e.trials, e.tried = trials, time.Now()
		}
	}
}

func (e *refusal) credential(tenant string) Credential { return Credential{tenant, e.fingerprint} }

// errElsewhere stands for what the gateway said to another pod.
var errElsewhere = errors.New("the gateway refused it in another pod")

// merged returns what is to be stored in place of what was, and the tenants for which
// that takes a trial.
func (r *refusals) merged(stored map[Credential]uint64) (next map[Credential]uint64, tried []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = map[Credential]uint64{}
	for c, trials := range stored {
		if !r.lifted[c] {
			next[c] = trials
		}
	}
	for tenant, e := range r.tenants {
		if e.paused {
			next[e.credential(tenant)] = e.trials
		}
	}
	tried = r.due()
	for _, tenant := range tried {
		next[r.tenants[tenant].credential(tenant)]++
	}
	return next, tried
}

// published notes that other pods know now.
func (r *refusals) published(next map[Credential]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.lifted, func(c Credential, _ bool) bool {
		_, since := next[c] // it was lifted since
		return !since
	})
	for tenant, e := range r.tenants {
		if trials, there := next[e.credential(tenant)]; there {
			e.shared, e.trials = true, trials
		}
	}
}

// due returns the paused tenants of which a job may try, and wants to. r.mu is held.
func (r *refusals) due() (tenants []string) {
	for tenant, e := range r.tenants {
		if e.paused && time.Since(e.tried) >= trialEvery && time.Since(e.wanted) < trialWanted {
			tenants = append(tenants, tenant)
		}
	}
	return tenants
}

// grant gives out a permit for one job of each tenant.
func (r *refusals) grant(tenants []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tenant := range tenants {
		if e := r.tenants[tenant]; e != nil && e.paused {
			e.tried = time.Now()
			select {
			case e.trial <- struct{}{}:
			default: // nobody has used the last one
			}
		}
	}
}
