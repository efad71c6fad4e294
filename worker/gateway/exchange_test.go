package gateway

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/worker"
)

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
					awaitStale(t, c)
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

// BenchmarkCall has a server that costs little: what it tells is the client's.
func BenchmarkCall(b *testing.B) {
	body, err := os.ReadFile("testdata/replies/succeeded.json")
	if err != nil {
		b.Fatal(err)
	}
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	client := newClient(b, Options{URL: serveRaw(b, func(p *peer) {
		for request := make([]byte, 1<<10); ; {
			if _, err := p.Read(request); err != nil { // a small request comes in one piece
				return
			}
			_, _ = p.Write(reply)
		}
	})})
	j := job("wxid_1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.SecondLogin(b.Context(), j, always); err != nil {
			b.Fatal(err)
		}
	}
}
