package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestVetoSendsNothing(t *testing.T) {
	veto := errors.New("the send window closed")
	for kind, secure := range map[string]bool{"TCP": false, "TLS": true, "TCP proxied": false, "TLS proxied": true} {
		t.Run(kind, func(t *testing.T) {
			gw := gatewaytest.New(gatewaytest.Options{})
			defer gw.Close()
			c, close := overTLS(t, gw, secure)
			defer close()
			if strings.HasSuffix(kind, "proxied") {
				proxied(t, c)
			}
			for _, warm := range []bool{false, true} { // on a new connection, and on one that idles
				if warm {
					if _, err := c.SecondLogin(t.Context(), testJob("warm"), always); err != nil {
						t.Fatal(err)
					}
				}
				asked := 0
				_, err := c.SecondLogin(t.Context(), testJob("a"), func() error { asked++; return veto })
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
	c.http.TLS.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}

func TestTLS(t *testing.T) {
	gw := gatewaytest.New(gatewaytest.Options{})
	defer gw.Close()
	c, close := overTLS(t, gw, true)
	defer close()
	if reply, err := c.SecondLogin(t.Context(), testJob("a"), always); err != nil || reply.Outcome != job.Succeeded {
		t.Errorf("got %+v, %v", reply, err)
	}
	_, err := c.SecondLogin(t.Context(), testJob("reset-a"), always)
	checkClass(t, err, ErrAmbiguous)
	c = newClient(t, Options{URL: c.Addresses()[0]}) // trusts the system's CAs alone
	_, err = c.SecondLogin(t.Context(), testJob("b"), func() error { t.Error("beforeSend was called"); return nil })
	checkClass(t, err, worker.ErrNotStarted)
	if n := gw.Account("b").Prompts; n != 0 {
		t.Errorf("%d prompts without trust", n)
	}
}

// TestStaleConnection kills idle connections in every way while calls are made: no call
// may be sent twice, and none that was sent may be reported as not started.
func TestStaleConnection(t *testing.T) { testStaleConnection(t, direct) }

func TestStaleConnectionProxied(t *testing.T) { testStaleConnection(t, proxied) }

func testStaleConnection(t *testing.T, way func(*testing.T, *Client) *Client) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sent.Add(1)
		fmt.Fprint(w, `{"code":1001}`)
	}))
	defer s.Close()
	c := way(t, newClient(t, Options{URL: s.URL}))
	var killers sync.WaitGroup
	defer killers.Wait()
	certain, doubtful := int64(0), int64(0)
	for range 300 {
		killers.Go(s.CloseClientConnections)
		_, err := c.SecondLogin(t.Context(), testJob("a"), always)
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

// TestFreshConnectionEnds ends a connection before, and right after, the request.
func TestFreshConnectionEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
		t.Run("reset before the request", func(t *testing.T) {
			c := start(func(p *peer) { handshake(p); p.Reset() })
			for range 20 {
				_, err := c.SecondLogin(t.Context(), testJob("a"), always)
				if !errors.Is(err, ErrAmbiguous) && !errors.Is(err, worker.ErrNotStarted) {
					t.Errorf("got %v", err)
				}
			}
		})
		t.Run("closed before the request", func(t *testing.T) {
			c := start(func(p *peer) { handshake(p); p.Close() })
			for range 20 {
				_, err := c.SecondLogin(t.Context(), testJob("a"), always)
				if !errors.Is(err, ErrAmbiguous) && !errors.Is(err, worker.ErrNotStarted) {
					t.Errorf("got %v", err)
				}
			}
		})
		t.Run("closed after the request", func(t *testing.T) {
			c := start(func(p *peer) { p.Request(); p.Close() })
			expect(t.Context(), t, c, ErrAmbiguous, 1, always)
		})
		t.Run("reset after the request", func(t *testing.T) {
			c := start(func(p *peer) { p.Request(); p.Reset() })
			expect(t.Context(), t, c, ErrAmbiguous, 1, always)
		})
	})
}

// handshake makes a connection over TLS ready for a request.
func handshake(p *peer) {
	if h, ok := p.Conn.(interface{ Handshake() error }); ok {
		_ = h.Handshake()
	}
}

func TestIPv6(t *testing.T) {
	url := servers.ServePeers(t, "[::1]:0", nil, func(p *peer) {
		for p.Request() {
			p.Say(plain)
		}
	})
	c := newClient(t, Options{URL: url})
	for range 2 {
		mustCall(t, c)
	}
}

func TestCloseClosesIdleConnections(t *testing.T) {
	over := make(chan bool, 2)
	c := newClient(t, Options{URL: serveRaw(t, func(p *peer) {
		for p.Request() {
			p.Say(plain)
		}
		over <- true
	})})
	for range 2 { // calls made later still work, and leave nothing
		mustCall(t, c)
		c.Close()
		<-over
	}
}
