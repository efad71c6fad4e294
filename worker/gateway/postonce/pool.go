package postonce

import (
	"slices"
	"sync"
	"time"
)

const (
	idleTimeout = 10 * time.Second
	sweepTime   = time.Second // how often connections that idled for too long are looked for
)

// pool keeps the connections that no call uses; the last one that came is the next to
// go. They do not idle for long: a request on a dying one is ambiguous.
type pool struct {
	maxIdle int // of each route

	mu     sync.Mutex
	closed bool // nothing is kept any more
	idle   map[string][]*conn
	timer  *time.Timer // of sweep; nil while nothing idles
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
	idle[last] = nil
	p.idle[route] = idle[:last]
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
	if p.timer == nil {
		p.timer = time.AfterFunc(sweepTime, p.sweep)
	}
	return true
}

// sweep closes what idled for too long, and comes again while anything idles.
func (p *pool) sweep() {
	for _, c := range p.expired(time.Now().Add(-idleTimeout)) {
		c.close()
	}
}

// expired takes the connections out that came before then.
func (p *pool) expired(then time.Time) (old []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := 0
	for route, idle := range p.idle {
		n := slices.IndexFunc(idle, func(c *conn) bool { return c.kept.After(then) })
		if n < 0 {
			n = len(idle)
		}
		old = append(old, idle[:n]...)
		p.idle[route] = slices.Delete(idle, 0, n)
		left += len(p.idle[route])
		if len(p.idle[route]) == 0 {
			delete(p.idle, route)
		}
	}
	switch {
	case p.timer == nil: // closed meanwhile
	case left > 0:
		p.timer.Reset(sweepTime)
	default:
		p.timer = nil
	}
	return old
}

// close closes what idles, and keeps nothing from here on.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range p.expired(time.Now()) {
		c.close()
	}
}
