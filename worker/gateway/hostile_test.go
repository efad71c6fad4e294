package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// TestTrickle has replies that come a byte at a time and never end: the context ends the
// call, wherever it is, on every way.
func TestTrickle(t *testing.T) {
	replies := map[string]string{
		"informational": strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100),
		"head":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10_000),
		"body":          "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 10_000),
		"long body":     "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat(" ", 10_000),
		"chunks":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\n \r\n", 5000),
		"trailer":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(declined) + "0\r\nX: " + strings.Repeat("x", 2000),
	}
	for name, reply := range replies {
		for way, take := range map[string]func(*testing.T, *Client) *Client{"direct": direct, "proxied": proxied} {
			t.Run(name+", "+way, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				url := serveRaw(t, func(p *peer) {
					p.Request()
					for i := range len(reply) {
						if i == 100 {
							cancel(errStop)
						}
						if _, err := p.Write([]byte{reply[i]}); err != nil {
							return // the client is gone
						}
					}
					p.Request()
				})
				expect(ctx, t, take(t, newClient(t, Options{URL: url})), ErrAmbiguous, 1, always, errStop)
			})
		}
	}
}

// TestHostileHTTP has replies that are made to be expensive. None is read for long, and
// their connections serve nobody else.
func TestHostileHTTP(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	mega := strings.Repeat("x", 1<<20)
	ok := "HTTP/1.1 200 OK\r\n"
	tests := map[string]struct {
		start, forever string // forever is sent until the client closes; empty: nothing more
		class          error
	}{
		"a header without end":          {ok + "X: ", mega, ErrAmbiguous},
		"headers without end":           {ok, "X: y\r\n", ErrAmbiguous},
		"a status without end":          {"HTTP/1.1 200 ", mega, ErrAmbiguous},
		"informational without end":     {"", "HTTP/1.1 100 Continue\r\n\r\n", ErrAmbiguous},
		"early hints of a MiB":          {"HTTP/1.1 103 Early Hints\r\nX: " + mega + "\r\n\r\n" + plain, "", ErrAmbiguous},
		"a chunk extension without end": {chunked + "1;x=", mega, ErrAmbiguous},
		"chunk extensions without end":  {chunked, "1;x=" + strings.Repeat("y", 2000) + "\r\n \r\n", ErrAmbiguous},
		"chunks of a byte without end":  {chunked, "1\r\n \r\n", ErrAmbiguous},
		"a chunk size without end":      {chunked, "0000000000000000", ErrAmbiguous},
		"a trailer without end":         {chunked + chunk(declined) + "0\r\nX: ", mega, ErrAmbiguous},
		"trailers without end":          {chunked + chunk(declined) + "0\r\n", "X: y\r\n", ErrAmbiguous},
		"a body without end":            {ok + "\r\n", mega, ErrAmbiguous},
		"a body of all lengths":         {ok + "Content-Length: 9223372036854775807\r\n\r\n", mega, ErrAmbiguous},
		"a length of no int64":          {ok + "Content-Length: 9223372036854775808\r\n\r\n" + declined, "", ErrAmbiguous},
		"a negative length":             {ok + "Content-Length: -1\r\n\r\n" + declined, "", ErrAmbiguous},
		"a length that is too small":    {ok + "Content-Length: 5\r\n\r\n" + declined, "", ErrAmbiguous},
		"a body without end behind":     {plain + "x", mega, nil},
		"replies without end behind":    {plain + plain, plain, nil},
		"gzip":                          {ok + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00", mega, ErrAmbiguous},
		"text without end":              {ok + "\r\n{\"code\":1001,\"msg\":\"", mega, ErrAmbiguous},
		"nesting without end":           {ok + "\r\n{\"code\":1001,\"data\":", strings.Repeat("[", 1<<16), ErrAmbiguous},
		"members without end":           {ok + "\r\n{\"code\":1001", strings.Repeat(`,"code":1001`, 1<<10), ErrAmbiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int64
			c := newClient(t, Options{URL: serveRaw(t, func(p *peer) {
				connections.Add(1)
				p.Request()
				p.Say(tt.start)
				for until := time.Now().Add(time.Minute); tt.forever != "" && time.Now().Before(until); {
					if _, err := p.Write([]byte(tt.forever)); err != nil {
						return
					}
				}
			})})
			checkPeak(t, 32, func() {
				for range 2 {
					expect(t.Context(), t, c, tt.class, 1, always)
				}
			})
			if n := connections.Load(); n != 2 {
				t.Errorf("%d connections for two calls", n)
			}
		})
	}
}

// TestManyLargeHeads has as many heads as are allowed, each as long as is allowed.
func TestManyLargeHeads(t *testing.T) {
	const n = 1000
	head := []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 16<<10-100) + "\r\n")
	var asked, answered sync.WaitGroup
	asked.Add(n)
	answered.Add(n)
	c := newClient(t, Options{URL: serveRaw(t, func(p *peer) {
		p.Request()
		asked.Done()
		asked.Wait()
		_, _ = p.Write(head)
		answered.Done()
		answered.Wait()
		p.Say("Content-Length: 13\r\n\r\n" + declined)
	})})
	checkPeak(t, 100, func() {
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() { expect(t.Context(), t, c, nil, 1, always) })
		}
		calls.Wait()
	})
}

// largeReplies makes n calls, which are all answered with a login of that size at the same time.
func largeReplies(t testing.TB, n, size int) {
	var asked sync.WaitGroup
	asked.Add(n)
	token := []byte(strings.Repeat("x", size)) // one for all
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(`{"code":1000,"data":{"wId":"i","token":""}}`)+size)
	c := newClient(t, Options{URL: serveRaw(t, func(p *peer) {
		p.Request()
		asked.Done()
		asked.Wait()
		p.Say(head + `{"code":1000,"data":{"wId":"i","token":"`)
		_, _ = p.Write(token)
		p.Say(`"}}`)
	})})
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			reply, err := c.SecondLogin(t.Context(), testJob("a"), always)
			if err != nil || reply.Outcome != job.Succeeded || reply.Login.Token != "" {
				t.Errorf("%v, %v", reply.Outcome, err)
			}
		})
	}
	calls.Wait()
}

// TestManyLargeReplies: what they take is bounded by the texts that are kept, not by
// those that come.
func TestManyLargeReplies(t *testing.T) {
	servers.SkipIfShort(t, "it reads 300 MiB of replies at once")
	checkPeak(t, 64, func() { largeReplies(t, 300, 1<<20) })
}

// BenchmarkLargeReplies tells the peak of 3,000 replies of 1 MiB at once, their server's
// part included.
func BenchmarkLargeReplies(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(peak(func() { largeReplies(b, 3000, 1<<20) }))/(1<<20), "peak-MiB")
	}
}
