package worker

import "time"

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

// wait returns how a job of the account is to wait while the tenant is paused, nil when it may
// go on.
func (r *refusals) wait(tenant, wcID string) *turn {
	if !r.any.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	if e == nil || !e.paused {
		return nil
	}
	if e.credit > 0 && !e.wasRefused(wcID) {
		e.credit--
		return nil
	}
	return &turn{refusals: r, tenant: tenant, wcID: wcID, of: e, lifted: e.changed, permit: make(chan struct{}, 1)}
}

// turn is how a job waits for its tenant's credential: until lifted is closed, or permit
// allows it to try.
type turn struct {
	refusals     *refusals
	tenant, wcID string
	of           *refusal
	lifted       <-chan struct{}
	permit       chan struct{}
}

// join has the job wait.
func (t *turn) join() {
	t.refusals.mu.Lock()
	defer t.refusals.mu.Unlock()
	jobs := t.of.waiting[t.wcID]
	if jobs == nil {
		jobs = map[chan struct{}]struct{}{}
		t.of.waiting[t.wcID] = jobs
	}
	jobs[t.permit] = struct{}{}
}

// leave has it wait no longer. A permit that it has not used goes to another job.
func (t *turn) leave() {
	t.refusals.mu.Lock()
	t.of.remove(t.wcID, t.permit)
	t.refusals.mu.Unlock()
	select {
	case <-t.permit:
		t.refusals.grant(t.tenant, 1)
	default:
	}
}

func (e *refusal) remove(wcID string, permit chan struct{}) {
	delete(e.waiting[wcID], permit)
	if len(e.waiting[wcID]) == 0 {
		delete(e.waiting, wcID)
	}
}

// permit has up to n jobs try, each of another account, of those that were refused or of those
// that were not, and returns how many there were.
func (e *refusal) permit(n int, refused bool) (given int) {
	for wcID, jobs := range e.waiting { // in no order
		if given == n {
			break
		}
		if e.wasRefused(wcID) != refused {
			continue
		}
		for permit := range jobs {
			e.remove(wcID, permit)
			permit <- struct{}{}
			given++
			break
		}
	}
	return given
}

func (e *refusal) wasRefused(wcID string) bool {
	_, refused := e.accounts[wcID]
	return refused
}

// hasFresh tells whether a job waits whose account was not refused.
func (e *refusal) hasFresh() bool {
	for wcID := range e.waiting {
		if !e.wasRefused(wcID) {
			return true
		}
	}
	return false
}

// due returns of which paused tenants so many jobs may try, and wait. r.mu is held.
func (r *refusals) due() map[string]int {
	trials := map[string]int{}
	for tenant, e := range r.tenants {
		if !e.paused || len(e.waiting) == 0 {
			continue
		}
		after, jobs := firstTrial, refusedInARow
		if e.trials >= largeTrials {
			after, jobs = min(firstTrial<<min(e.trials-largeTrials+1, 16), trialEvery), 1
		}
		if !e.hasFresh() {
			after += 2 * shareEvery // a pod that has a job whose account was not refused goes first
		}
		if time.Since(e.tried) >= after {
			trials[tenant] = jobs
		}
	}
	return trials
}

// grant has so many of the tenant's jobs try.
func (r *refusals) grant(tenant string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.tenants[tenant]; e != nil && e.paused {
		n -= e.permit(n, false)
		e.permit(n, true)
	}
}

// heldOpenAfter returns how long a call for the tenant must be open to show that it was not
// refused, 0 where nothing was: people take their time, and a refusal comes soon.
func (r *refusals) heldOpenAfter(tenant string) time.Duration {
	if !r.any.Load() {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.tenants[tenant]; e != nil {
		return e.heldOpenAfter()
	}
	return 0
}

func (e *refusal) heldOpenAfter() time.Duration {
	return max(heldOpen, min(heldTimes*e.longest, heldAtMost))
}

// heldOpen notes that a call with that credential has been open for so long and was not refused.
// It is no proof that the credential is accepted, but reason enough for a few more to try, unless
// refusals have come to take longer meanwhile.
func (r *refusals) heldOpen(tenant, fingerprint string, length time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tenants[tenant]
	if e == nil || e.fingerprint != fingerprint || length < e.heldOpenAfter() {
		return
	}
	e.credit = min(e.credit+heldCredit, maxCredit)
	e.credit -= e.permit(e.credit, false)
}

// noteWhenHeldOpen has it noted when the call stays open, where the tenant's credential was refused.
func (t *task) noteWhenHeldOpen() {
	t.stopNoting() // the connection failed before it took a byte, and this is the next one
	t.sentAt = time.Now()
	if after := t.w.refusals.heldOpenAfter(t.job.Tenant); after > 0 {
		tenant, fingerprint := t.job.Tenant, t.access.Fingerprint
		t.heldOpen = time.AfterFunc(after, func() { t.w.refusals.heldOpen(tenant, fingerprint, after) })
	}
}

func (t *task) stopNoting() {
	if t.heldOpen != nil {
		t.heldOpen.Stop()
	}
}

// returnTrial lets another job try that has not.
func (t *task) returnTrial() {
	if t.trial {
		t.trial = false
		t.w.refusals.grant(t.job.Tenant, 1)
	}
}
