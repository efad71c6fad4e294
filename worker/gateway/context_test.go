package gateway

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/relogin/relogin/worker"
)

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
					p.Request()
					p.Say(reply)
					cancel(errStop)
					over <- p.Request()
				})
				expect(ctx, t, c, ErrAmbiguous, 1, always, errStop)
				if <-over {
					t.Error("the connection was kept")
				}
			})
			t.Run("deadline "+name, func(t *testing.T) {
				ctx := expiring{t.Context(), make(chan struct{})}
				c := start(func(p *peer) { p.Request(); p.Say(reply); close(ctx.done); p.Request() })
				expect(ctx, t, c, ErrAmbiguous, 1, always, context.DeadlineExceeded)
			})
		}
		t.Run("a real deadline", func(t *testing.T) {
			c := start(func(p *peer) { p.Request(); p.Request() })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			asked := false
			_, err := c.SecondLogin(ctx, testJob("a"), func() error { asked = true; return nil })
			if !errors.Is(err, context.DeadlineExceeded) || asked != errors.Is(err, ErrAmbiguous) {
				t.Errorf("got %v, asked: %v", err, asked)
			}
		})
		t.Run("dialling", func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			c := start(func(p *peer) { p.Request() })
			c.http.Dial = (&net.Dialer{Control: func(string, string, syscall.RawConn) error { cancel(errStop); return nil }}).DialContext
			expect(ctx, t, c, worker.ErrNotStarted, 0, always, errStop)
		})
	})
}

func TestCancelledHandshake(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	url := serveRaw(t, func(p *peer) {
		_, _ = p.In.ReadByte() // the client's part has come
		cancel(errStop)
		_, _ = p.In.Discard(1 << 20)
	})
	c := newClient(t, Options{URL: strings.Replace(url, "http", "https", 1)})
	expect(ctx, t, c, worker.ErrNotStarted, 0, always, errStop)
}
