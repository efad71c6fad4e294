package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// sweepTime is how often connections that idled for too long are looked for.
const sweepTime = time.Second

// pool keeps the connections that no call uses; the last one that came is the next to
// go. They do not idle for long: a request on a dying one is ambiguous.
type pool struct {
	maxIdle int // at each endpoint
	dialer  net.Dialer
	tls     *tls.Config // without a server's name

	mu     sync.Mutex
	closed bool // nothing is kept any more
	idle   map[endpoint][]*conn
	timer  *time.Timer // of sweep; nil while nothing idles

	configs sync.Map // of *tls.Config, by the server's name: connections share it
}

func newPool(maxIdle int) *pool {
	if maxIdle == 0 {
		maxIdle = http.DefaultMaxIdleConnsPerHost
	}
	return &pool{
		maxIdle: maxIdle,
		dialer:  newDialer(),
		tls:     &tls.Config{NextProtos: []string{"http/1.1"}},
		idle:    map[endpoint][]*conn{},
	}
}

// get returns a connection to the endpoint: a kept one, if it is open as far as can be
// known. The caller puts it back or closes it.
func (p *pool) get(ctx context.Context, e endpoint) (*conn, error) {
	for {
		c := p.take(e)
		if c == nil {
			return p.dial(ctx, e)
		}
		if now := time.Now(); now.Sub(c.kept) < idleTimeout && now.Before(c.until) && c.quiet() {
			return c, nil
		}
		c.close()
	}
}

// config returns the TLS configuration that all connections to the host share.
func (p *pool) config(host string) *tls.Config {
	if known, ok := p.configs.Load(host); ok {
		return known.(*tls.Config)
	}
	config := p.tls.Clone()
	config.ServerName = host
	known, _ := p.configs.LoadOrStore(host, config)
	return known.(*tls.Config)
}

func (p *pool) take(e endpoint) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[e]
	last := len(idle) - 1
	if last < 0 {
		return nil
	}
	c := idle[last]
	idle[last] = nil
	p.idle[e] = idle[:last]
	return c
}

// put keeps a connection on which nothing is under way, and tells whether it does. Else
// the caller closes it.
func (p *pool) put(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle[c.endpoint]
	now := time.Now()
	if p.closed || !canReuse || len(idle) >= p.maxIdle || !now.Before(c.until) {
		return false
	}
	c.kept = now
	p.idle[c.endpoint] = append(idle, c)
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
	for e, idle := range p.idle {
		n := slices.IndexFunc(idle, func(c *conn) bool { return c.kept.After(then) })
		if n < 0 {
			n = len(idle)
		}
		old = append(old, idle[:n]...)
		p.idle[e] = slices.Delete(idle, 0, n)
		left += len(p.idle[e])
		if len(p.idle[e]) == 0 {
			delete(p.idle, e)
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
