package console

import (
	"sync"

	"golang.org/x/time/rate"
)

// attempts bounds how often passwords are tried: by everybody together, since each costs a hash, and
// more tightly for one name from one address.
type attempts struct {
	all *rate.Limiter

	mu  sync.Mutex
	one map[string]*rate.Limiter // by address and name; those that rest are left out
}

const (
	attemptsPerSecond = 5
	attemptsAtOnce    = 20
	oneEverySeconds   = 6
	oneAtOnce         = 5
)

func newAttempts() *attempts {
	return &attempts{all: rate.NewLimiter(attemptsPerSecond, attemptsAtOnce), one: map[string]*rate.Limiter{}}
}

// allow tells whether a password may be tried now.
func (a *attempts) allow(address, name string) bool {
	if !a.all.Allow() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, l := range a.one { // few: all together are bounded
		if l.Tokens() >= oneAtOnce {
			delete(a.one, key)
		}
	}
	key := address + "\x00" + name
	if a.one[key] == nil {
		a.one[key] = rate.NewLimiter(1.0/oneEverySeconds, oneAtOnce)
	}
	return a.one[key].Allow()
}
