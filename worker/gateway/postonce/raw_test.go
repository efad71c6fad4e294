package postonce

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"go.uber.org/goleak"

	"github.com/relogin/relogin/test/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	declined = `{"code":1001}`
	plain    = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + declined
)

var errStop = errors.New("the worker stops")

func always() error { return nil }

type peer = servers.Peer

// answer is a server that answers all requests.
func answer(p *peer) {
	for p.Request() {
		p.Say(plain)
	}
}

func serve(t testing.TB, config *tls.Config, serve func(*peer)) *url.URL {
	t.Helper()
	u, err := url.Parse(servers.ServePeers(t, "127.0.0.1:0", config, serve))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// caller makes calls to one endpoint.
type caller struct {
	*Client
	endpoint *Endpoint
}

func newCaller(t testing.TB, base, proxy *url.URL) *caller {
	t.Helper()
	c := &caller{NewClient(0), NewEndpoint(base.JoinPath("x"), http.ProxyURL(proxy), http.Header{"User-Agent": {"test"}})}
	t.Cleanup(c.Close)
	return c
}

// call makes a call, and reads its reply to the end.
func (c *caller) call(ctx context.Context, beforeSend func() error) (status int, started bool, err error) {
	resp, started, err := c.Post(ctx, &Call{c.endpoint, []byte("{}"), beforeSend})
	if err != nil {
		return 0, started, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, started, err
}

// mustCall makes a call that must be answered, with beforeSend called so many times.
func (c *caller) mustCall(t *testing.T, asked int, beforeSend func() error) {
	t.Helper()
	n := 0
	status, started, err := c.call(t.Context(), func() error { n++; return beforeSend() })
	if status != http.StatusOK || !started || err != nil || n != asked {
		t.Fatalf("HTTP %d, started: %v, %v; beforeSend was called %d times, want %d", status, started, err, n, asked)
	}
}

// mustFail makes a call that must not be answered, with beforeSend called so many times.
func (c *caller) mustFail(t *testing.T, started bool, asked int, beforeSend func() error) error {
	t.Helper()
	n := 0
	status, got, err := c.call(t.Context(), func() error { n++; return beforeSend() })
	if err == nil || got != started || n != asked {
		t.Errorf("HTTP %d, started: %v, want %v, %v; beforeSend was called %d times, want %d", status, got, started, err, n, asked)
	}
	return err
}

// certified returns what a server needs to speak TLS.
func certified(t *testing.T) *httptest.Server {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// trust makes the client trust the server's certificate.
func (c *caller) trust(s *httptest.Server) {
	c.TLS.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
}

// eachKind runs the test over TCP and over TLS.
func eachKind(t *testing.T, test func(t *testing.T, start func(func(*peer)) *caller)) {
	t.Run("TCP", func(t *testing.T) {
		test(t, func(do func(*peer)) *caller { return newCaller(t, serve(t, nil, do), nil) })
	})
	t.Run("TLS", func(t *testing.T) {
		s := certified(t)
		test(t, func(do func(*peer)) *caller {
			c := newCaller(t, serve(t, s.TLS, do), nil)
			c.trust(s)
			return c
		})
	})
}

// eachWay is eachKind, directly and through each kind of proxy.
func eachWay(t *testing.T, test func(t *testing.T, start func(func(*peer)) *caller)) {
	eachKind(t, test)
	s := certified(t)
	for _, of := range []struct {
		name    string
		server  *tls.Config
		proxy   *tls.Config
		forward func(*peer)
	}{
		{"TCP, proxied", nil, nil, (*peer).Forward},
		{"TLS, proxied", s.TLS, nil, (*peer).Forward},
		{"TCP, proxied over TLS", nil, s.TLS, (*peer).Forward},
		{"TLS, proxied over TLS", s.TLS, s.TLS, (*peer).Forward},
		{"TCP, through SOCKS", nil, nil, forwardSOCKS},
		{"TLS, through SOCKS", s.TLS, nil, forwardSOCKS},
	} {
		t.Run(of.name, func(t *testing.T) {
			test(t, func(do func(*peer)) *caller {
				proxy := serve(t, of.proxy, of.forward)
				proxy.User = url.UserPassword("me", secret)
				if of.name == "TCP, through SOCKS" || of.name == "TLS, through SOCKS" {
					proxy.Scheme = "socks5"
				}
				c := newCaller(t, serve(t, of.server, do), proxy)
				c.trust(s)
				return c
			})
		})
	}
}

// idle returns the connection that the next call takes, nil if there is none.
func idle(c *caller) *conn {
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
func awaitStale(t *testing.T, c *caller) {
	t.Helper()
	kept := idle(c)
	servers.Eventually(t, "an idle connection to change", func() bool { return kept == nil || !kept.quiet() })
}
