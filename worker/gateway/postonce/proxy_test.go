package postonce

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

const secret = "S3CRET+password"

// forwardSOCKS is a SOCKS5 proxy that wants the user "me" and the secret.
func forwardSOCKS(p *peer) {
	read := func(n byte) []byte {
		part := make([]byte, n)
		_, _ = io.ReadFull(p.In, part)
		return part
	}
	read(read(2)[1]) // the methods that are offered
	p.Say("\x05\x02")
	user := string(read(read(2)[1]))
	if password := string(read(read(1)[0])); user != "me" || password != secret {
		p.Say("\x01\x01")
		return
	}
	p.Say("\x01\x00")
	host := ""
	switch head := read(4); head[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(read(1)[0]))
	}
	port := binary.BigEndian.Uint16(read(2))
	p.Say("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
	p.Pipe(net.JoinHostPort(host, strconv.Itoa(int(port))))
}

// askedFor is what a proxy was asked for.
type askedFor struct {
	line   string
	host   string
	header http.Header
}

// watched is a proxy that tells of the first request on each connection.
func watched(seen chan<- askedFor) func(*peer) {
	return func(p *peer) {
		if r := p.Peek(); r != nil {
			seen <- askedFor{r.Method + " " + r.RequestURI, r.Host, r.Header}
			p.Forward()
		}
	}
}

// TestHTTPProxy sees what a proxy is asked for, and what the server is.
func TestHTTPProxy(t *testing.T) {
	s := certified(t)
	for kind, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(kind, func(t *testing.T) {
			seen, reached := make(chan askedFor, 1), make(chan askedFor, 1)
			config := s.TLS
			if !secure {
				config = nil
			}
			base := serve(t, config, func(p *peer) {
				if r := p.Peek(); r != nil {
					reached <- askedFor{r.Method + " " + r.URL.Path, r.Host, r.Header}
				}
				answer(p)
			})
			base.Path = "/base/"
			proxy := serve(t, nil, watched(seen))
			proxy.User = url.UserPassword("me", secret)
			c := newCaller(t, base, proxy)
			c.trust(s)
			c.mustCall(t, 1, always)
			c.mustCall(t, 1, always) // on the same connection
			asked, got := <-seen, <-reached
			want := "POST http://" + base.Host + "/base/x"
			if secure {
				want = "CONNECT " + base.Host
			}
			credential := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+secret))
			if asked.line != want || asked.host != base.Host || asked.header.Get("User-Agent") != "test" || asked.header.Get("Proxy-Authorization") != credential {
				t.Errorf("the proxy was asked for %+v, want %s", asked, want)
			}
			if got.line != "POST /base/x" || got.host != base.Host || secure && got.header.Get("Proxy-Authorization") != "" {
				t.Errorf("the server was asked for %+v", got)
			}
		})
	}
}

// One connection to a plain proxy serves several servers, but not the calls of another user.
func TestConnectionsToAProxy(t *testing.T) {
	var connections atomic.Int64
	proxy := serve(t, nil, func(p *peer) { connections.Add(1); answer(p) })
	c := newCaller(t, &url.URL{Scheme: "http", Host: "one.invalid"}, proxy)
	c.mustCall(t, 1, always)
	next := func(host string, user *url.Userinfo, want int64) {
		t.Helper()
		through := *proxy
		through.User = user
		c.endpoint = newCaller(t, &url.URL{Scheme: "http", Host: host}, &through).endpoint
		c.mustCall(t, 1, always)
		if n := connections.Load(); n != want {
			t.Errorf("%d connections, want %d", n, want)
		}
	}
	next("two.invalid", nil, 1)
	next("two.invalid", url.UserPassword("me", secret), 2)
	next("one.invalid", url.UserPassword("me", secret), 2)
}

// TestProxyRefuses: nothing is in doubt, and no error tells what the proxy said.
func TestProxyRefuses(t *testing.T) {
	never := func() error { t.Error("beforeSend was called"); return net.ErrClosed }
	for name, tt := range map[string]struct {
		reply, want string
	}{
		"no credential":  {"HTTP/1.1 407 FAKE-" + secret + "\r\nContent-Length: 5\r\n\r\nFAKE-", "CONNECT: HTTP 407"},
		"no server":      {"HTTP/1.1 502 FAKE-\r\nContent-Length: 0\r\n\r\n", "CONNECT: HTTP 502"},
		"no content":     {"HTTP/1.1 204 FAKE-\r\n\r\n", "CONNECT: HTTP 204"},
		"no HTTP":        {"FAKE-" + secret + "\r\n\r\n", "CONNECT: the reply is not well-formed"},
		"nothing":        {"", "CONNECT: "},
		"half a head":    {"HTTP/1.1 200 OK\r\n", "CONNECT: "},
		"a long head":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 17<<10), "CONNECT: the head of the reply is over 16 KiB"},
		"more than that": {"HTTP/1.1 200 OK\r\n\r\nFAKE-", "CONNECT: the reply is not well-formed"},
		"no TLS behind":  {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "TLS handshake: "},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := serve(t, nil, func(p *peer) {
				p.Request()
				p.Say(tt.reply)
			})
			proxy.User = url.UserPassword("me", secret)
			c := newCaller(t, &url.URL{Scheme: "https", Host: "gateway.invalid"}, proxy)
			err := c.mustFail(t, false, 0, never)
			if text := fmt.Sprint(err); !strings.Contains(text, tt.want) || strings.Contains(text, "S3CRET") || strings.Contains(text, "FAKE-") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		gone := &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("me", secret)}
		for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
			gone.Scheme = scheme
			err := newCaller(t, &url.URL{Scheme: "http", Host: "gateway.invalid"}, gone).mustFail(t, false, 0, never)
			if text := fmt.Sprint(err); !strings.HasPrefix(text, "proxy: ") || strings.Contains(text, "S3CRET") {
				t.Errorf("%s: got %v", scheme, err)
			}
		}
	})
	t.Run("SOCKS", func(t *testing.T) {
		proxy := serve(t, nil, forwardSOCKS)
		proxy.Scheme, proxy.User = "socks5", url.UserPassword("me", secret+"x")
		err := newCaller(t, &url.URL{Scheme: "http", Host: "gateway.invalid"}, proxy).mustFail(t, false, 0, never)
		if text := fmt.Sprint(err); !strings.HasPrefix(text, "proxy: SOCKS: ") || strings.Contains(text, "S3CRET") {
			t.Errorf("got %v", err)
		}
	})
}

// A plain proxy's own reply can't be told from the server's: it is handed on.
func TestPlainProxyRefuses(t *testing.T) {
	for _, want := range []int{407, 502} {
		proxy := serve(t, nil, func(p *peer) {
			p.Request()
			p.Say(fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", want))
		})
		c := newCaller(t, &url.URL{Scheme: "http", Host: "gateway.invalid"}, proxy)
		if status, started, err := c.call(t.Context(), always); status != want || !started || err != nil {
			t.Errorf("HTTP %d, want %d, started: %v, %v", status, want, started, err)
		}
	}
}

// TestProxySaysNothing: a context ends the wait for a tunnel.
func TestProxySaysNothing(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			proxy := serve(t, nil, func(p *peer) {
				_, _ = p.In.ReadByte()
				cancel(errStop)
				_, _ = io.Copy(io.Discard, p.In)
			})
			proxy.Scheme = scheme
			c := newCaller(t, &url.URL{Scheme: "https", Host: "gateway.invalid"}, proxy)
			_, started, err := c.call(ctx, func() error { t.Error("beforeSend was called"); return nil })
			if started || !errors.Is(err, errStop) {
				t.Errorf("started: %v, %v", started, err)
			}
		})
	}
}

// dying is a proxy of which a test ends the last connection.
type dying struct {
	*caller
	requests atomic.Int64 // that came to the server
	last     atomic.Pointer[peer]
	made     net.Conn // its other end
	die      func()   // is called by the server before it answers
}

func eachDying(t *testing.T, test func(t *testing.T, d *dying)) {
	s := certified(t)
	for kind, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(kind, func(t *testing.T) {
			d := &dying{die: func() {}}
			config := s.TLS
			if !secure {
				config = nil
			}
			base := serve(t, config, func(p *peer) {
				for p.Request() {
					d.requests.Add(1)
					d.die()
					p.Say(plain)
				}
			})
			d.caller = newCaller(t, base, serve(t, nil, func(p *peer) { d.last.Store(p); p.Forward() }))
			d.trust(s)
			dial := d.Dial
			d.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				var err error
				d.made, err = dial(ctx, network, address)
				return d.made, err
			}
			test(t, d)
		})
	}
}

// end ends the connection, and returns when that is known at the client's end. The client may
// know of a new connection before the proxy does.
func (d *dying) end(t *testing.T) {
	servers.Eventually(t, "the proxy has the connection", func() bool { return d.last.Load() != nil })
	d.last.Load().Reset()
	_, _ = io.Copy(io.Discard, d.made)
}

// TestProxyDies has the proxy die when it is ready, right before and right after a request.
func TestProxyDies(t *testing.T) {
	t.Run("before a byte, new", func(t *testing.T) {
		eachDying(t, func(t *testing.T, d *dying) {
			_ = d.mustFail(t, false, 1, func() error { d.end(t); return nil })
			if n := d.requests.Load(); n != 0 {
				t.Errorf("%d requests came", n)
			}
		})
	})
	t.Run("before a byte, kept", func(t *testing.T) {
		eachDying(t, func(t *testing.T, d *dying) {
			d.mustCall(t, 1, always)
			asked := 0
			d.mustCall(t, 2, func() error {
				if asked++; asked == 1 {
					d.end(t)
				}
				return nil
			})
			if n := d.requests.Load(); n != 2 {
				t.Errorf("%d requests came for two calls", n)
			}
		})
	})
	t.Run("after it", func(t *testing.T) {
		eachDying(t, func(t *testing.T, d *dying) {
			d.mustCall(t, 1, always)
			d.die = func() { d.last.Load().Reset() }
			for i := range 2 { // on the kept connection, and on a new one
				_ = d.mustFail(t, true, 1, always)
				if n := d.requests.Load(); n != int64(i+2) {
					t.Errorf("%d requests came for %d calls", n, i+2)
				}
			}
		})
	})
}
