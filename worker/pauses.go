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
	var stored map[Credential]uint64
	var revision uint64
	var err error
	if r.pauses != nil {
		if stored, revision, err = r.pauses.LoadPauses(ctx); err != nil {
			return fmt.Errorf("load paused tenants: %w", err)
		}
		r.adopt(stored, access)
	}
	next, trials := r.merged(stored)
	if r.pauses != nil && !maps.Equal(next, stored) {
		err = r.pauses.StorePauses(ctx, next, revision)
	}
	switch {
	case errors.Is(err, ErrConflict):
		return nil // the next time
	case err != nil:
		return fmt.Errorf("store paused tenants: %w", err)
	}
	r.published(next)
	for tenant, n := range trials {
		r.grant(tenant, n)
	}
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
		e.tell(trials)
	}
}

// tell has it know how many trials there were.
func (e *refusal) tell(trials uint64) {
	e.shared = true
	if e.trials != trials {
		e.trials, e.tried = trials, time.Now()
	}
}

func (e *refusal) credential(tenant string) Credential { return Credential{tenant, e.fingerprint} }

// errElsewhere stands for what the gateway said to another pod.
var errElsewhere = errors.New("the gateway refused it in another pod")

// merged returns what is to be stored in place of what was, and the trials that it counts: of
// which tenants so many jobs may try.
func (r *refusals) merged(stored map[Credential]uint64) (next map[Credential]uint64, trials map[string]int) {
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
	trials = r.due()
	for tenant := range trials {
		next[r.tenants[tenant].credential(tenant)]++
	}
	return next, trials
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
			e.tell(trials)
		}
	}
}
