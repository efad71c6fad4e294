package postonce

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// socket is a TCP connection that counts the bytes which it took.
type socket struct {
	net.Conn
	taken int
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.taken += n
	return n, err
}

// conn is a connection to a server or proxy. One call at a time uses it, from one goroutine.
type conn struct {
	stream net.Conn // TCP, or TLS over it
	socket socket   // below TLS
	pool   *pool
	route  string      // of the endpoints that it serves
	kept   time.Time   // when it was put into the pool; zero: it is new
	expiry *time.Timer // drops it from the pool; nil: it is new
	until  time.Time   // from when on it is not kept
	stop   func() bool // of the call that uses it: its context interrupts no more

	first  [1]byte
	waited bool  // first is the next byte to read
	broken error // how reading failed
}

func (c *conn) close() { _ = c.stream.Close() }

// begin lets ctx interrupt what is done with the connection until end is called.
func (c *conn) begin(ctx context.Context) { c.stop = context.AfterFunc(ctx, c.interrupt) }

// end lets the next call have the connection, if it is as good as new.
func (c *conn) end(good bool) {
	if !c.stop() || !good || !c.pool.put(c) {
		c.close()
	}
}

var longAgo = time.Unix(1, 0)

// interrupt may be called from any goroutine. It makes reads and writes fail from here on.
func (c *conn) interrupt() { _ = c.stream.SetDeadline(longAgo) }

// write tells whether any byte of the request may have got out.
func (c *conn) write(request []byte) (started bool, err error) {
	before := c.socket.taken
	n, err := c.stream.Write(request)
	return n > 0 || c.socket.taken > before, err
}

// wait blocks until there is something to read. It holds no buffer: calls wait for
// minutes, by the thousand.
func (c *conn) wait() error {
	n, err := c.stream.Read(c.first[:])
	if c.waited = n > 0; c.waited {
		return nil
	}
	return err
}

// Read reads what wait has found, and what comes after it.
func (c *conn) Read(p []byte) (int, error) {
	if c.waited && len(p) > 0 {
		c.waited = false
		return copy(p, c.first[:]), nil
	}
	n, err := c.stream.Read(p)
	if err != nil {
		c.broken = err
	}
	return n, err
}

// usable tells whether a connection from the pool may take a call.
func (c *conn) usable() bool {
	now := time.Now()
	return now.Sub(c.kept) < idleTimeout && now.Before(c.until) && c.quiet()
}

// quiet tells whether a connection that waits in the pool is open, and nothing came
// that nobody asked for. What it reads is lost: a connection that is not quiet is of no use.
func (c *conn) quiet() bool {
	if _, secured := c.stream.(*tls.Conn); secured { // TLS may have read more than it handed out
		_ = c.stream.SetReadDeadline(longAgo)
		n, err := c.stream.Read(c.first[:])
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.stream.SetReadDeadline(time.Time{}) != nil {
			return false
		}
	}
	return silent(c.socket.Conn, c.first[:])
}
