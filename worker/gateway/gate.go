package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errOver    = errors.New("the call is over")
	errStarted = errors.New("the request was sent already")
	errOld     = errors.New("the connection is too old")
)

// gate stands before the first byte of one request that net/http makes, and knows whether it got out.
// A request whose connection failed before any byte was written may pass again, on
// another connection, and beforeSend is asked again then; bytes never go to two.
type gate struct {
	beforeSend func() error

	mu      sync.Mutex
	passed  *gatedConn // the connection that the request may write to
	written bool       // at least a byte got out
	refused error      // nothing may be written any more
}

func newGate(beforeSend func() error) *gate { return &gate{beforeSend: beforeSend} }

// attach makes the connection on which ctx's request will be sent ask the gate.
func (g *gate) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if c := unwrap(info.Conn); c != nil {
				c.reused = info.Reused
				c.gate.Store(g)
			}
		},
	})
}

// pass returns nil when c may be written to.
func (g *gate) pass(c *gatedConn) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.refused != nil:
		return g.refused
	case g.passed == c:
		return nil
	case g.passed != nil:
		return errStarted
	case c.reused && !time.Now().Before(c.until): // net/http takes another one then
		return errOld
	}
	if g.refused = g.beforeSend(); g.refused != nil {
		return g.refused
	}
	g.passed = c
	return nil
}

// wrote takes note of what a write to the connection did.
func (g *gate) wrote(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 {
		g.written = true
	} else if !g.written {
		g.passed = nil
	}
}

// mayRepeat returns nil while the request has not left and was not refused.
func (g *gate) mayRepeat() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.passed != nil {
		return errStarted
	}
	return g.refused
}

// close shuts the gate, and tells whether the request may have got out. net/http may
// still be about to write when it reports a cancelled call: that fails from here on.
func (g *gate) close() (started bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.passed == nil && g.refused == nil {
		g.refused = errOver
	}
	return g.passed != nil
}

// gatedConn is a connection whose writes ask the gate of the request that uses it.
// There is none during a TLS handshake.
type gatedConn struct {
	net.Conn
	gate   atomic.Pointer[gate]
	reused bool      // by the gate's request
	until  time.Time // from when on it takes no other request
}

func (c *gatedConn) Write(p []byte) (int, error) {
	g := c.gate.Load()
	if g == nil {
		return c.Conn.Write(p)
	}
	if err := g.pass(c); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	g.wrote(n)
	return n, err
}

// unwrap returns the gated connection below c, nil if there is none.
func unwrap(c net.Conn) *gatedConn {
	for {
		switch inner := c.(type) {
		case *gatedConn:
			return inner
		case *tls.Conn:
			c = inner.NetConn()
		default:
			return nil
		}
	}
}
