package postonce

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
)

// TestIdleConnectionEnds has a connection die in the pool: the next call takes another,
// and nothing is in doubt.
func TestIdleConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"closed":         func(p *peer) { p.Close() },
		"reset":          func(p *peer) { p.Reset() },
		"something came": func(p *peer) { p.Say("HTTP/1.1 408 Request Timeout\r\n\r\n"); p.Request() },
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, start func(func(*peer)) *caller) {
				var connections atomic.Int64
				c := start(func(p *peer) {
					if p.Request() {
						connections.Add(1)
						p.Say(plain)
						end(p)
					}
				})
				for i := range 50 {
					c.mustCall(t, 1, always)
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
	eachKind(t, func(t *testing.T, start func(func(*peer)) *caller) {
		ended, end := make(chan bool), make(chan bool)
		var requests atomic.Int64
		c := start(func(p *peer) {
			for p.Request() {
				requests.Add(1)
				p.Say(plain)
				if p.Number == 1 {
					<-end
					p.Reset()
					ended <- true
				}
			}
		})
		c.mustCall(t, 1, always)
		kept := idle(c)
		asked := 0
		c.mustCall(t, 2, func() error {
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

func TestVetoKeepsTheConnection(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *caller) {
		c := start(func(p *peer) {
			for p.Request() {
				p.Say(plain)
			}
		})
		c.mustCall(t, 1, always)
		kept := idle(c)
		for range 3 {
			if err := c.mustFail(t, false, 1, func() error { return errStop }); err != errStop {
				t.Errorf("got %v", err)
			}
		}
		c.mustCall(t, 1, always)
		if idle(c) != kept {
			t.Error("another connection")
		}
	})
}

// TestKeptConnectionTakesAByte has the kept connection fail with a byte gone: the call goes
// on no other.
func TestKeptConnectionTakesAByte(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(func(*peer)) *caller) {
		var requests atomic.Int64
		c := start(func(p *peer) {
			for p.Request() {
				requests.Add(1)
				p.Say(plain)
			}
		})
		c.mustCall(t, 1, always)
		kept := idle(c)
		broken := halfConn{Conn: kept.stream, n: 1}
		if c.endpoint.server.secure() {
			broken.socket = &kept.socket
		}
		kept.stream = broken
		_ = c.mustFail(t, true, 1, always)
		if n := requests.Load(); n != 1 || idle(c) != nil {
			t.Errorf("%d requests came", n)
		}
	})
}

// A connection that a call's context interrupted serves no other.
func TestInterruptedConnectionIsNotKept(t *testing.T) {
	eachWay(t, func(t *testing.T, start func(func(*peer)) *caller) {
		for name, reply := range map[string]string{"before the reply": "", "within the head": plain[:10], "within the body": plain[:45], "after it": plain} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				over := make(chan bool, 1)
				c := start(func(p *peer) {
					p.Request()
					p.Say(reply)
					if reply != plain {
						cancel()
					}
					over <- p.Request()
				})
				resp, started, err := c.Post(ctx, &Call{c.endpoint, nil, always})
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					cancel()
					resp.Body.Close()
				}
				if !started || (err == nil) != (reply == plain) || <-over || idle(c) != nil {
					t.Errorf("started: %v, %v; or the connection was kept", started, err)
				}
			})
		}
	})
}
