package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

const (
	declined = `{"code":1001}`
	plain    = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + declined
)

// peer is the server's end of a connection.
type peer struct {
	net.Conn
	in     *bufio.Reader
	number int // of the connection, from 1 on
}

// request reads a request, and tells whether there was one.
func (p *peer) request() bool {
	r, err := http.ReadRequest(p.in)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err == nil
}

func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// reset ends the connection without a word.
func (p *peer) reset() {
	c := p.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// serveRaw runs serve for each connection, and closes it then.
func serveRaw(t testing.TB, serve func(*peer)) (url string) {
	return serveOn(t, "127.0.0.1:0", nil, serve)
}

func serveOn(t testing.TB, address string, config *tls.Config, serve func(*peer)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // IPv6 is not everywhere
	}
	var serving sync.WaitGroup
	var open sync.Map
	serving.Go(func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if config != nil {
				c = tls.Server(c, config)
			}
			open.Store(c, true)
			serving.Go(func() {
				defer c.Close()
				serve(&peer{c, bufio.NewReader(c), number})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		serving.Wait()
	})
	if config != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// eachKind runs the test over TCP and over TLS.
func eachKind(t *testing.T, test func(t *testing.T, start func(serve func(*peer)) *Client)) {
	t.Run("TCP", func(t *testing.T) {
		test(t, func(serve func(*peer)) *Client { return newClient(t, Options{URL: serveRaw(t, serve)}) })
	})
	t.Run("TLS", func(t *testing.T) {
		s := httptest.NewUnstartedServer(nil) // has a certificate
		s.StartTLS()
		defer s.Close()
		test(t, func(serve func(*peer)) *Client {
			c := newClient(t, Options{URL: serveOn(t, "127.0.0.1:0", s.TLS, serve)})
			trust(c, s)
			return c
		})
	})
}

// mustCall makes a call that must be answered.
func mustCall(t *testing.T, c *Client) {
	t.Helper()
	if reply, err := c.SecondLogin(t.Context(), job("a"), always); err != nil || reply.Outcome != worker.Failed {
		t.Fatalf("got %+v, %v", reply, err)
	}
}

// idle returns the connection that the next call takes, nil if there is none.
func idle(c *Client) *conn {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	for _, all := range c.pool.idle {
		if len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return nil
}

// awaitStale blocks until it shows that no idle connection is as it was left.
func awaitStale(t *testing.T, c *Client) {
	t.Helper()
	kept := idle(c)
	servers.Eventually(t, "an idle connection to change", func() bool { return kept == nil || !kept.quiet() })
}

// expect makes a call that must end in an error of that class, in which the causes are,
// with beforeSend called so many times.
func expect(ctx context.Context, t *testing.T, c *Client, class error, asked int, beforeSend func() error, causes ...error) {
	t.Helper()
	n := 0
	_, err := c.SecondLogin(ctx, job("a"), func() error { n++; return beforeSend() })
	checkClass(t, err, class)
	if n != asked {
		t.Errorf("beforeSend was called %d times, want %d", n, asked)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want %q in it", err, cause)
		}
	}
}

var errStop = errors.New("the worker stops")

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }
