package worker

import (
	"context"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// While a tenant is paused its jobs wait for a turn to try its credential. Turns come by and by,
// and sooner when calls stay open that were not refused.
const (
	largeTrials = 3                      // so often as many jobs try as were refused in a row, then one
	firstTrial  = 500 * time.Millisecond // after a tenant was paused, over all pods; after the large trials twice as long each time
	trialEvery  = time.Minute            // until it is this long
	heldOpen    = time.Second            // a call that is open for so long, and for
	heldTimes   = 4                      // so many times as long as any refusal took since the last success,
	heldAtMost  = 10 * time.Second       // and in any case for so long, was not refused:
	heldCredit  = 4                      // so many more may try
	maxCredit   = 256
)

// mayTry reports whether a job of the account may call the gateway now.
func (r *refusals) mayTry(tenant, wcID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	if e == nil || !e.paused {
		return true
	}
	if e.credit == 0 || e.accounts[wcID] {
		return false
	}
	e.credit--
	return true
}

// turn is how an account's jobs wait for their turn to try their tenant's credential. There is
// one for all of them, so that an account that has thousands tries no more often than others.
type turn struct {
	of     *refusal
	wcID   string
	jobs   int
	permit chan struct{} // buffered: lets one of them try
}

// await has a job of the account wait for its turn, until leave is called; lifted is closed when
// the tenant is paused no longer. It returns nil when that is so already.
func (r *refusals) await(tenant, wcID string) (t *turn, lifted <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	if e == nil || !e.paused {
		return nil, nil
	}
	t = e.waiting[wcID]
	if t == nil {
		t = &turn{of: e, wcID: wcID, permit: make(chan struct{}, 1)}
		e.waiting[wcID] = t
	}
	t.jobs++
	return t, e.changed
}

// leave has one job wait no longer. A permit that none of them has used goes to another account.
func (r *refusals) leave(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.jobs--; t.jobs > 0 {
		return
	}
	delete(t.of.waiting, t.wcID)
	select {
	case <-t.permit:
		t.of.grant(1)
	default:
	}
}

// grant has up to n jobs try, each of another account: of those that were not refused first.
// r.mu is held.
func (e *refusal) grant(n int) {
	if e.paused {
		e.permit(n-e.permit(n, false), true)
	}
}

// permit has up to n jobs try, each of another account, of those that were refused or of those
// that were not, and returns how many there were.
func (e *refusal) permit(n int, refused bool) (given int) {
	for wcID, t := range e.waiting { // in no order
		if given == n {
			break
		}
		if e.accounts[wcID] != refused {
			continue
		}
		select {
		case t.permit <- struct{}{}:
			given++
		default: // one of its jobs is about to try already
		}
	}
	return given
}

// due returns how many jobs may try now, 0 while none may or none waits. r.mu is held.
func (e *refusal) due() int {
	after, jobs := firstTrial, refusedInARow
	if e.trials >= largeTrials {
		after, jobs = min(firstTrial<<min(e.trials-largeTrials+1, 16), trialEvery), 1
	}
	if !e.hasUnrefused() {
		after += 2 * shareEvery // a pod that has a job whose account was not refused goes first
	}
	if len(e.waiting) == 0 || time.Since(e.tried) < after {
		return 0
	}
	return jobs
}

// hasUnrefused tells whether a job waits whose account was not refused.
func (e *refusal) hasUnrefused() bool {
	for wcID := range e.waiting {
		if !e.accounts[wcID] {
			return true
		}
	}
	return false
}

// whenHeldOpen has it noted when a call that is sent now stays open until then, as ctx does:
// people take their time, and a refusal comes soon. That is no proof that the credential is
// accepted, but reason enough for a few more to try, unless refusals have come to take longer
// meanwhile.
func (r *refusals) whenHeldOpen(ctx context.Context, c job.Credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.find(c)
	if e == nil {
		return
	}
	after := e.heldOpenAfter()
	time.AfterFunc(after, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ctx.Err() == nil && after >= e.heldOpenAfter() {
			e.credit = min(e.credit+heldCredit, maxCredit)
			e.credit -= e.permit(e.credit, false)
		}
	})
}

// heldOpenAfter returns for how long a call must be open to show that it was not refused.
func (e *refusal) heldOpenAfter() time.Duration {
	return max(heldOpen, min(heldTimes*e.longest, heldAtMost))
}

func (t *task) credential() job.Credential {
	return job.Credential{Tenant: t.job.Tenant, Fingerprint: t.access.Fingerprint}
}

// returnTrial lets another job try that has not.
func (t *task) returnTrial() {
	if !t.trial {
		return
	}
	t.trial = false
	r := t.w.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.tenants[t.job.Tenant]; e != nil {
		e.grant(1)
	}
}
