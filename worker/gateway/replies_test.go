package gateway

import (
	"strings"
	"sync/atomic"
	"testing"

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
		"a head of 15 KiB":          {strings.Replace(plain, "\r\n", "\r\nX: "+strings.Repeat("x", 15<<10)+"\r\n", 1), nil, true},
		"a head of 17 KiB":          {strings.Replace(plain, "\r\n", "\r\nX: "+strings.Repeat("x", 17<<10)+"\r\n", 1), ErrAmbiguous, false},
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
						for first := true; p.Request(); first = false {
							if first {
								connections.Add(1)
							}
							if way == "whole" {
								p.Say(tt.reply)
							}
							for i := 0; way == "in pieces" && i < len(tt.reply); i++ {
								p.Say(tt.reply[i : i+1])
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
		"too long":          "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 17<<10),
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, start func(func(*peer)) *Client) {
				over := make(chan bool)
				c := start(func(p *peer) {
					p.Request()
					p.Say(reply)
					over <- p.Request()
				})
				_, _ = c.SecondLogin(t.Context(), testJob("a"), always)
				if <-over {
					t.Error("another request came")
				}
			})
		})
	}
}
