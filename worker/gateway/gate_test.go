package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

func TestVetoSendsNothing(t *testing.T) {
	veto := errors.New("the send window closed")
	for kind, secure := range map[string]bool{"TCP": false, "TLS": true, "TCP relayed": false, "TLS relayed": true} {
		t.Run(kind, func(t *testing.T) {
			gw := gatewaytest.New(gatewaytest.Options{})
			defer gw.Close()
			c, close := overTLS(t, gw, secure)
			defer close()
			if strings.HasSuffix(kind, "relayed") {
				relayed(c)
			}
			for _, warm := range []bool{false, true} { // on a new connection, and on one that idles
				if warm {
					if _, err := c.SecondLogin(t.Context(), job("warm"), always); err != nil {
						t.Fatal(err)
					}
				}
				asked := 0
				_, err := c.SecondLogin(t.Context(), job("a"), func() error { asked++; return veto })
				if err != veto || asked != 1 {
					t.Errorf("warm %v: got %v, beforeSend called %d times", warm, err, asked)
				}
				if n := gw.Account("a").Prompts; n != 0 {
					t.Errorf("warm %v: %d prompts", warm, n)
				}
			}
		})
	}
}

// overTLS serves the handler, and returns a client for it and what stops the server.
func overTLS(t *testing.T, h http.Handler, secure bool) (*Client, func()) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if !secure {
		s.Start()
		return newClient(t, Options{URL: s.URL}), s.Close
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	c := newClient(t, Options{URL: s.URL})
	trust(c, s)
	return c, s.Close
}

// trust makes the client trust the server's certificate.
func trust(c *Client, s *httptest.Server) {
	c.pool.tls.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c.transport.TLSClientConfig = &tls.Config{RootCAs: c.pool.tls.RootCAs}
}

func TestTLS(t *testing.T) {
	gw := gatewaytest.New(gatewaytest.Options{})
	defer gw.Close()
	c, close := overTLS(t, gw, true)
	defer close()
	if reply, err := c.SecondLogin(t.Context(), job("a"), always); err != nil || reply.Outcome != worker.Succeeded {
		t.Errorf("got %+v, %v", reply, err)
	}
	_, err := c.SecondLogin(t.Context(), job("reset-a"), always)
	checkClass(t, err, ErrAmbiguous)
	c = newClient(t, Options{URL: c.Addresses()[0]}) // trusts the system's CAs alone
	_, err = c.SecondLogin(t.Context(), job("b"), func() error { t.Error("beforeSend was called"); return nil })
	checkClass(t, err, worker.ErrNotStarted)
	if n := gw.Account("b").Prompts; n != 0 {
		t.Errorf("%d prompts without trust", n)
	}
}

// TestStaleConnection kills idle connections in every way while calls are made: no call
// may be sent twice, and none that was sent may be reported as not started.
func TestStaleConnection(t *testing.T) { testStaleConnection(t, func(c *Client) *Client { return c }) }

func TestStaleConnectionRelayed(t *testing.T) { testStaleConnection(t, relayed) }

func testStaleConnection(t *testing.T, way func(*Client) *Client) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sent.Add(1)
		fmt.Fprint(w, `{"code":1001}`)
	}))
	defer s.Close()
	c := way(newClient(t, Options{URL: s.URL}))
	var killers sync.WaitGroup
	defer killers.Wait()
	certain, doubtful := int64(0), int64(0)
	for range 300 {
		killers.Go(s.CloseClientConnections)
		_, err := c.SecondLogin(t.Context(), job("a"), always)
		switch {
		case err == nil:
			certain++
		case errors.Is(err, ErrAmbiguous):
			doubtful++
		case !errors.Is(err, worker.ErrNotStarted):
			t.Fatal(err)
		}
	}
	if n := sent.Load(); n < certain || n > certain+doubtful {
		t.Errorf("%d requests arrived: %d calls were answered, %d are doubtful", n, certain, doubtful)
	}
}

// brokenConn fails each write after n bytes.
type brokenConn struct {
	net.Conn
	n int
}

func (c brokenConn) Write([]byte) (int, error) { return c.n, errors.New("broken") }

func gated(c net.Conn, g *gate) *gatedConn {
	gc := &gatedConn{Conn: c}
	gc.gate.Store(g)
	return gc
}

func TestGate(t *testing.T) {
	asked := 0
	newCounted := func() *gate { asked = 0; return newGate(func() error { asked++; return nil }) }
	t.Run("a write after the call ended", func(t *testing.T) {
		g := newCounted()
		if g.close() {
			t.Error("started without a write")
		}
		if n, err := gated(brokenConn{n: 1}, g).Write([]byte("x")); n != 0 || !errors.Is(err, errOver) || asked != 0 {
			t.Errorf("wrote %d, %v, asked %d times", n, err, asked)
		}
	})
	t.Run("a connection that takes nothing", func(t *testing.T) {
		g := newCounted()
		_, _ = gated(brokenConn{}, g).Write([]byte("x"))
		if err := g.mayRepeat(); err != nil {
			t.Errorf("may not repeat: %v", err)
		}
		_, _ = gated(brokenConn{n: 1}, g).Write([]byte("xy"))
		if asked != 2 || !g.close() {
			t.Errorf("asked %d times, and not started", asked)
		}
	})
	t.Run("a connection that took a byte", func(t *testing.T) {
		g := newCounted()
		_, _ = gated(brokenConn{n: 1}, g).Write([]byte("xy"))
		if g.mayRepeat() == nil {
			t.Error("may repeat")
		}
		if n, err := gated(brokenConn{n: 1}, g).Write([]byte("x")); n != 0 || !errors.Is(err, errStarted) || asked != 1 {
			t.Errorf("wrote %d to another connection, %v", n, err)
		}
		if !g.close() {
			t.Error("not started")
		}
	})
}
