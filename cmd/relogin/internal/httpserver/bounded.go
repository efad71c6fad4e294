package httpserver

import (
	"container/list"
	"net"
	"sync"
)

// boundedListener has at most max connections open: one more closes the oldest. A listener
// that does not accept while so many are open would let slow clients shut out the health
// check, and have a good pod restarted.
type boundedListener struct {
	net.Listener
	max int

	mu   sync.Mutex
	open list.List // of *boundedConn, the oldest first
}

// Accept implements [net.Listener].
func (l *boundedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	bounded := &boundedConn{Conn: c, listener: l}
	if oldest := l.add(bounded); oldest != nil {
		_ = oldest.Close()
	}
	return bounded, nil
}

// add returns the connection that must go, if one must.
func (l *boundedListener) add(c *boundedConn) *boundedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.element = l.open.PushBack(c)
	if l.open.Len() <= l.max {
		return nil
	}
	return l.open.Front().Value.(*boundedConn)
}

// boundedConn counts as open until it is closed.
type boundedConn struct {
	net.Conn
	listener *boundedListener
	element  *list.Element
}

// Close implements [net.Conn]. It may be called more than once.
func (c *boundedConn) Close() error {
	c.listener.mu.Lock()
	c.listener.open.Remove(c.element)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
