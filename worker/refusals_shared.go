package worker

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// share learns from other pods which tenants are paused, tells them of those that this pod has
// paused or lifted, and takes trials that are due. It blocks until the store has answered; an error changes nothing, and the pod goes by what
// it knows.
func (r *refusals) share(ctx context.Context, access func(tenant string) (Access, error)) error {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	var next map[job.Credential]uint64
	var trials map[*refusal]int
	ok, err := r.shared.UpdateRefusals(ctx, func(stored map[job.Credential]uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.adopt(stored, access)
		next, trials = stored, r.tell(stored)
	})
	if ok { // else the next time
		r.told(next, trials)
	}
	return err
}

// adopt does here what other pods have done: pause, lift, or try. r.mu is held.
func (r *refusals) adopt(stored map[job.Credential]uint64, access func(tenant string) (Access, error)) {
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
			e.err = errors.New("the gateway refused it in another pod")
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

// tell makes of what is stored what other pods have to know, and counts the trials that are due.
// It returns with which credentials so many jobs may try once that is stored. r.mu is held.
func (r *refusals) tell(stored map[job.Credential]uint64) map[*refusal]int {
	maps.DeleteFunc(stored, func(c job.Credential, _ uint64) bool {
		refused, untold := r.untold[c]
		return untold && !refused
	})
	trials := map[*refusal]int{}
	for _, e := range r.tenants {
		if e.paused {
			trials[e] = e.due()
			stored[e.Credential] = e.trials + uint64(min(trials[e], 1))
		}
	}
	return trials
}

// told notes that other pods know now, and has the jobs try.
func (r *refusals) told(stored map[job.Credential]uint64, trials map[*refusal]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.untold, func(c job.Credential, refused bool) bool {
		_, there := stored[c]
		return there == refused // else it has changed since
	})
	for e, jobs := range trials {
		e.sawTrials(stored[e.Credential])
		e.grant(jobs)
	}
}
