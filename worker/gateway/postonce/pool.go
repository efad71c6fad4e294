package postonce

import (
	"slices"
	"sync"
	"time"
)

const idleTimeout = 10 * time.Second

// pool keeps the connections that no call uses; the last one that came is the next to
// go. They do not idle for long: a request on a dying one is ambiguous.
type pool struct {
	maxIdle int // of each route

	mu     sync.Mutex
	closed bool               // nothing is kept any more
	idle   map[string][]*conn // by their route
}

// take returns the kept connection of that route which came last, nil if there is none.
func (p *pool) take(route string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[route]
	last := len(idle) - 1
	if last < 0 {
		return nil
	}
	c := idle[last]
	c.expiry.Stop()
	p.idle[route] = slices.Delete(idle, last, last+1)
	return c
}

// put keeps a connection on which nothing is under way, and tells whether it does. Else
// the caller closes it.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[c.route]
	now := time.Now()
	if p.closed || !canReuse || len(idle) >= p.maxIdle || !now.Before(c.until) {
		return false
	}
	c.kept = now
	p.idle[c.route] = append(idle, c)
	if c.expiry == nil {
		c.expiry = time.AfterFunc(idleTimeout, func() { p.drop(c) })
	} else {
		c.expiry.Reset(idleTimeout)
	}
	return true
}

// drop closes a connection that idled for too long, unless a call has taken it.
func (p *pool) drop(c *conn) {
	p.mu.Lock()
	idle := p.idle[c.route]
	i := slices.Index(idle, c) // the first one, as a rule
	if i >= 0 {
		p.idle[c.route] = slices.Delete(idle, i, i+1)
	}
	if len(p.idle[c.route]) == 0 {
		delete(p.idle, c.route)
	}
	p.mu.Unlock()
	if i >= 0 {
		c.close()
	}
}

// close closes what idles, and keeps nothing from here on.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.closed, p.idle = true, nil
	p.mu.Unlock()
	for _, all := range idle {
		for _, c := range all {
			c.expiry.Stop()
			c.close()
		}
	}
}
