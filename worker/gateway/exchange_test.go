package gateway

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/relogin/relogin/worker"
)

// TestReplies makes two calls with each reply: the second is on the same connection if
// and only if the reply left it as it was.
func TestReplies(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := map[string]struct {
		reply  string
		class  error
		reused bool
	}{
		"plain":                     {plain, nil, true},
		"keep-alive":                {strings.Replace(plain, "\r\n", "\r\nConnection: keep-alive\r\n", 1), nil, true},
		"chunked":                   {chunked + chunk(declined[:5]) + chunk(declined[5:]) + chunk(""), nil, true},
		"chunked with a trailer":    {chunked + chunk(declined) + "0\r\nX-Sum: 1\r\n\r\n", nil, true},
		"after a 100":               {"HTTP/1.1 100 Continue\r\n\r\n" + plain, nil, true},
		"after a 103 and a 102":     {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + plain, nil, true},
		"no content":                {"HTTP/1.1 204 No Content\r\n\r\n", ErrAmbiguous, true},
		"server error":              {"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", ErrAmbiguous, true},
		"busy":                      {"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", worker.ErrNotStarted, false},
		"refused":                   {"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno", worker.ErrRefused, false},
		"connection: close":         {strings.Replace(plain, "\r\n", "\r\nConnection: close\r\n", 1), nil, false},
		"HTTP/1.0":                  {strings.Replace(plain, "1.1", "1.0", 1), nil, false},
		"HTTP/1.0, keep-alive":      {strings.Replace(plain, "1.1 200 OK\r\n", "1.0 200 OK\r\nConnection: keep-alive\r\n", 1), nil, false},
		"no length":                 {"HTTP/1.1 200 OK\r\n\r\n" + declined, nil, false},
		"bytes behind":              {plain + "x", nil, false},
		"another reply behind":      {plain + plain, nil, false},
		"switching protocols":       {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", ErrAmbiguous, false},
		"endless informational":     {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 4000) + plain, ErrAmbiguous, false},
		"a head of 60 KiB":          {strings.Replace(plain, "\r\n", "\r\nX: "+strings.Repeat("x", 60<<10)+"\r\n", 1), nil, true},
		"a head of 70 KiB":          {strings.Replace(plain, "\r\n", "\r\nX: "+strings.Repeat("x", 70<<10)+"\r\n", 1), ErrAmbiguous, false},
		"an endless line":           {"HTTP/1.1 200 " + strings.Repeat("x", 1<<20), ErrAmbiguous, false},
		"not HTTP":                  {"FAKE-TOKEN\r\n\r\n", ErrAmbiguous, false},
		"a bad header":              {"HTTP/1.1 200 OK\r\nFAKE-TOKEN\r\n\r\n" + declined, ErrAmbiguous, false},
		"a bad chunk":               {chunked + "FAKE-TOKEN\r\n", ErrAmbiguous, false},
		"a bad trailer":             {chunked + chunk(declined) + "0\r\nFAKE-TOKEN\r\n\r\n", ErrAmbiguous, false},
		"two lengths":               {"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Length: 14\r\n\r\n" + declined, ErrAmbiguous, false},
		"nothing":                   {"", ErrAmbiguous, false},
		"half a head":               {plain[:20], ErrAmbiguous, false},
		"half a body":               {plain[:len(plain)-1], ErrAmbiguous, false},
		"half a chunk":              {chunked + "d\r\n" + declined[:5], ErrAmbiguous, false},
		"chunks without an end":     {chunked + chunk(declined), ErrAmbiguous, false},
		"a trailer without end":     {chunked + chunk(declined) + "0\r\n", ErrAmbiguous, false},
		"an informational, no more": {"HTTP/1.1 100 Continue\r\n\r\n", ErrAmbiguous, false},
	}
	for name, tt := range tests {
		for _, way := range []string{"whole", "in pieces"} {
			if way == "in pieces" && (len(tt.reply) > 1000 || strings.Contains(name, "behind")) {
				continue // what comes late enough passes for the next reply, in HTTP
			}
			t.Run(name+", "+way, func(t *testing.T) {
				eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
					var connections atomic.Int64
					c := start(func(p *peer) {
						for first := true; p.request(); first = false {
							if first {
								connections.Add(1)
							}
							if way == "whole" {
								p.say(tt.reply)
							}
							for i := 0; way == "in pieces" && i < len(tt.reply); i++ {
								p.say(tt.reply[i : i+1])
							}
							if !tt.reused {
								return
							}
						}
					})
					for range 2 {
						expect(t.Context(), t, c, tt.class, 1, always)
					}
					if n := connections.Load(); (n == 1) != tt.reused {
						t.Errorf("%d connections for two calls", n)
					}
				})
			})
		}
	}
}

// A server that says a connection is over, and leaves it to the client to close it.
func TestClientClosesWhatIsOver(t *testing.T) {
	for name, reply := range map[string]string{
		"connection: close": strings.Replace(plain, "\r\n", "\r\nConnection: close\r\n", 1),
		"HTTP/1.0":          strings.Replace(plain, "1.1", "1.0", 1),
		"bytes behind":      plain + "x",
		"not read":          "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno",
		"too long":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10),
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
				over := make(chan bool)
				c := start(func(p *peer) {
					p.request()
					p.say(reply)
					over <- p.request()
				})
				_, _ = c.SecondLogin(t.Context(), job("a"), always)
				if <-over {
					t.Error("another request came")
				}
			})
		})
	}
}

// TestIdleConnectionEnds has a connection die in the pool: the next call takes another,
// and nothing is in doubt.
func TestIdleConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"closed":         func(p *peer) { p.Close() },
		"reset":          func(p *peer) { p.reset() },
		"something came": func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\n\r\n"); p.request() },
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
				var connections atomic.Int64
				c := start(func(p *peer) {
					if p.request() {
						connections.Add(1)
						p.say(plain)
						end(p)
					}
				})
				for i := range 50 {
					expect(t.Context(), t, c, nil, 1, always)
					awaitStale(c)
					if n := connections.Load(); n != int64(i+1) {
						t.Fatalf("%d calls were on %d connections", i+1, n)
					}
				}
			})
		})
	}
}

// TestKeptConnectionTakesNothing resets the kept connection after it was looked at: not
// a byte is taken, so the call goes on, on another.
func TestKeptConnectionTakesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
		ended, end := make(chan bool), make(chan bool)
		var requests atomic.Int64
		c := start(func(p *peer) {
			for p.request() {
				requests.Add(1)
				p.say(plain)
				if p.number == 1 {
					<-end
					p.reset()
					ended <- true
				}
			}
		})
		expect(t.Context(), t, c, nil, 1, always)
		kept := idle(c)
		asked := 0
		expect(t.Context(), t, c, nil, 2, func() error {
			if asked++; asked == 1 {
				end <- true
				<-ended
				for kept.quiet() { // until it is known here
				}
			}
			return nil
		})
		if n := requests.Load(); n != 2 {
			t.Errorf("%d requests came for two calls", n)
		}
	})
}

// TestFreshConnectionEnds ends a connection before, and right after, the request.
func TestFreshConnectionEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
		t.Run("reset before the request", func(t *testing.T) {
			c := start(func(p *peer) { handshake(p); p.reset() })
			for range 20 {
				_, err := c.SecondLogin(t.Context(), job("a"), always)
				if !errors.Is(err, ErrAmbiguous) && !errors.Is(err, worker.ErrNotStarted) {
					t.Errorf("got %v", err)
				}
			}
		})
		t.Run("closed before the request", func(t *testing.T) {
			c := start(func(p *peer) { handshake(p); p.Close() })
			for range 20 {
				_, err := c.SecondLogin(t.Context(), job("a"), always)
				if !errors.Is(err, ErrAmbiguous) && !errors.Is(err, worker.ErrNotStarted) {
					t.Errorf("got %v", err)
				}
			}
		})
		t.Run("closed after the request", func(t *testing.T) {
			c := start(func(p *peer) { p.request(); p.Close() })
			expect(t.Context(), t, c, ErrAmbiguous, 1, always)
		})
		t.Run("reset after the request", func(t *testing.T) {
			c := start(func(p *peer) { p.request(); p.reset() })
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

// expiring is a context whose deadline comes when a test says so.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.done }

func (e expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestContextEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
		for name, reply := range map[string]string{"before the reply": "", "within the head": plain[:10], "within the body": plain[:45]} {
			t.Run("cancelled "+name, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				over := make(chan bool)
				c := start(func(p *peer) {
					p.request()
					p.say(reply)
					cancel(errStop)
					over <- p.request()
				})
				expect(ctx, t, c, ErrAmbiguous, 1, always, errStop)
				if <-over || idle(c) != nil {
					t.Error("the connection was kept")
				}
			})
			t.Run("deadline "+name, func(t *testing.T) {
				ctx := expiring{t.Context(), make(chan struct{})}
				c := start(func(p *peer) { p.request(); p.say(reply); close(ctx.done); p.request() })
				expect(ctx, t, c, ErrAmbiguous, 1, always, context.DeadlineExceeded)
			})
		}
		t.Run("a real deadline", func(t *testing.T) {
			c := start(func(p *peer) { p.request(); p.request() })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			asked := false
			_, err := c.SecondLogin(ctx, job("a"), func() error { asked = true; return nil })
			if !errors.Is(err, context.DeadlineExceeded) || asked != errors.Is(err, ErrAmbiguous) {
				t.Errorf("got %v, asked: %v", err, asked)
			}
		})
		t.Run("dialling", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			c := start(func(p *peer) { p.request() })
			c.pool.dialer.Control = func(string, string, syscall.RawConn) error { cancel(errStop); return nil }
			expect(ctx, t, c, worker.ErrNotStarted, 0, always, errStop)
		})
	})
}

func TestCancelledHandshake(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	url := serveRaw(t, func(p *peer) {
		_, _ = p.in.ReadByte() // the client's part has come
		cancel(errStop)
		_, _ = p.in.Discard(1 << 20)
	})
	c := newClient(t, Options{URL: strings.Replace(url, "http", "https", 1)})
	expect(ctx, t, c, worker.ErrNotStarted, 0, always, errStop)
}

func TestIPv6(t *testing.T) {
	url := serveOn(t, "[::1]:0", nil, func(p *peer) {
		for p.request() {
			p.say(plain)
		}
	})
	c := newClient(t, Options{URL: url})
	for range 2 {
		mustCall(t, c)
	}
}

func TestVetoKeepsTheConnection(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
		c := start(func(p *peer) {
			for p.request() {
				p.say(plain)
			}
		})
		mustCall(t, c)
		kept := idle(c)
		for range 3 {
			if _, err := c.SecondLogin(t.Context(), job("a"), func() error { return errStop }); err != errStop {
				t.Errorf("got %v", err)
			}
		}
		mustCall(t, c)
		if idle(c) != kept {
			t.Error("another connection")
		}
	})
}

func TestCloseClosesIdleConnections(t *testing.T) {
	over := make(chan bool, 2)
	c := newClient(t, Options{URL: serveRaw(t, func(p *peer) {
		for p.request() {
			p.say(plain)
		}
		over <- true
	})})
	for range 2 { // calls made later still work, and leave nothing
		mustCall(t, c)
		c.Close()
		<-over
	}
}

func TestPoolIsBounded(t *testing.T) {
	p := newPool(3)
	defer p.close()
	for i := range 5 {
		client, server := net.Pipe()
		defer server.Close()
		if c := (&conn{stream: client, pool: p}); p.put(c) != (i < 3) {
			t.Errorf("connection %d", i)
		}
	}
}
