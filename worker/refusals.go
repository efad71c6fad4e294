package worker

import "sync"

// refusals remembers the tenants whose credential was refused. They are paused until
// it changes: their jobs stay queued, and no gateway is asked with it again.
type refusals struct {
	mu      sync.Mutex
	tenants map[string]*refusal
}

type refusal struct {
	fingerprint string
	lifted      chan struct{} // closed when the credential has changed
}

func newRefusals() *refusals { return &refusals{tenants: map[string]*refusal{}} }

// add pauses the tenant; it returns false when it was paused already.
func (r *refusals) add(tenant, fingerprint string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.tenants[tenant]; ok {
		return false
	}
	r.tenants[tenant] = &refusal{fingerprint: fingerprint, lifted: make(chan struct{})}
	return true
}

// of returns a channel that is closed when the tenant's pause ends, nil when it is
// not paused.
func (r *refusals) of(tenant string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.tenants[tenant]; ok {
		return p.lifted
	}
	return nil
}

// review lifts the pauses of the tenants whose credential has changed or is gone, and
// returns them, and how many are left.
func (r *refusals) review(access func(tenant string) (Access, error)) (lifted []string, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tenant, p := range r.tenants {
		if a, err := access(tenant); err == nil && a.Fingerprint == p.fingerprint {
			continue
		}
		close(p.lifted)
		delete(r.tenants, tenant)
		lifted = append(lifted, tenant)
	}
	return lifted, len(r.tenants)
}
