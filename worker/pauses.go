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
func (r *refusals) share(ctx context.Context, access func(tenant string) (Access, error)) (err error) {
	var stored map[Credential]uint64
	var revision uint64
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
	r.published(next, trials)
	return nil
}

// errElsewhere stands for what the gateway said to another pod.
var errElsewhere = errors.New("the gateway refused it in another pod")

// adopt does here what other pods have done: pause, lift, or try.
func (r *refusals) adopt(stored map[Credential]uint64, access func(tenant string) (Access, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.tenants {
		if _, there := stored[e.Credential]; e.paused && !there && !r.untold[e.Credential] {
			r.lift(e)
			delete(r.untold, e.Credential)
			r.log.Info("another pod found that the gateway accepts the tenant's credential: its jobs go on", "tenant", e.Tenant)
		}
	}
	for c, trials := range stored {
		a, err := access(c.Tenant)
		refused, untold := r.untold[c]
		if err != nil || a.Fingerprint != c.Fingerprint || untold && !refused {
			continue // this pod has another credential, or knows better
		}
		e := r.entry(c)
		if !e.paused {
			e.err = errElsewhere
			r.pause(e)
			r.log.Warn("another pod found that the gateway refuses the tenant's credential: its jobs wait; replace the credential", "tenant", c.Tenant)
		}
		delete(r.untold, c)
		e.sawTrials(trials)
	}
}

func (e *refusal) sawTrials(n uint64) {
	if e.trials != n {
		e.trials, e.tried = n, time.Now()
	}
}

// merged returns what is to be stored in place of what was, and the trials that it counts: with
// which credentials so many jobs may try.
func (r *refusals) merged(stored map[Credential]uint64) (next map[Credential]uint64, trials map[*refusal]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, trials = map[Credential]uint64{}, map[*refusal]int{}
	for c, n := range stored {
		if refused, untold := r.untold[c]; refused || !untold {
			next[c] = n
		}
	}
	for _, e := range r.tenants {
		if !e.paused {
			continue
		}
		next[e.Credential] = e.trials
		if jobs := e.due(); jobs > 0 {
			next[e.Credential]++
			trials[e] = jobs
		}
	}
	return next, trials
}

// published notes that other pods know now, and has the jobs try.
func (r *refusals) published(next map[Credential]uint64, trials map[*refusal]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.untold, func(c Credential, refused bool) bool {
		_, told := next[c]
		return told == refused // else it has changed since
	})
	for _, e := range r.tenants {
		if n, told := next[e.Credential]; told {
			e.sawTrials(n)
		}
		e.grant(trials[e])
	}
}
