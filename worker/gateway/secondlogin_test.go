package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestSecondLogin(t *testing.T) { testSecondLogin(t, direct) }

func TestSecondLoginProxied(t *testing.T) { testSecondLogin(t, proxied) }

func testSecondLogin(t *testing.T, way func(*testing.T, *Client) *Client) {
	gw := newGateway(t, gatewaytest.Options{Authorization: secret})
	c := way(t, newClient(t, Options{URL: gw.URL + "/", Authorization: secret}))
	tests := []struct {
		wcID    string
		outcome job.Outcome
		err     error
		prompts int
	}{
		{"confirm-1", job.Succeeded, nil, 1},
		{"decline-1", job.Failed, nil, 1},
		{"scan-1", job.NeedsScan, nil, 1},
		{"nested-1", job.NeedsScan, nil, 1},
		{"unauthorized-1", "", worker.ErrRefused, 0},
		{"busy-1", "", worker.ErrNotStarted, 0},
		{"error-1", "", ErrAmbiguous, 1},
		{"reset-1", "", ErrAmbiguous, 1},
		{"garbage-1", "", ErrAmbiguous, 1},
		{"empty-1", "", ErrAmbiguous, 1},
		{"huge-1", "", ErrAmbiguous, 1},
		{"half-1", "", ErrAmbiguous, 1},
		{"redirect-1", "", ErrAmbiguous, 1},
	}
	for _, tt := range tests {
		t.Run(tt.wcID, func(t *testing.T) {
			asked := 0
			reply, err := c.SecondLogin(t.Context(), testJob(tt.wcID), func() error { asked++; return nil })
			checkClass(t, err, tt.err)
			if reply.Outcome != tt.outcome || asked != 1 {
				t.Errorf("reply %+v, beforeSend called %d times", reply, asked)
			}
			a := gw.Account(tt.wcID)
			if a.Prompts != tt.prompts {
				t.Errorf("%d prompts, want %d", a.Prompts, tt.prompts)
			}
			if reply.Login != nil && (reply.Login.WID != a.WID || reply.Login.WcID != tt.wcID) {
				t.Errorf("login %+v", reply.Login)
			}
		})
	}
}

func TestRequestOnTheWire(t *testing.T) {
	type seen struct {
		proto, path, body string
		header            http.Header
	}
	requests := make(chan seen, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Proto, r.URL.Path, string(body), r.Header}
		fmt.Fprint(w, `{"code":1001}`)
	}))
	defer s.Close()
	c := newClient(t, Options{URL: s.URL + "/v1/", Authorization: secret})
	j := testJob("wxid_1")
	for range 2 {
		if _, err := c.SecondLogin(t.Context(), j, always); err != nil {
			t.Fatal(err)
		}
		r := <-requests
		want := `{"wcId":"wxid_1","type":2}`
		if j.AID != "" {
			want = `{"wcId":"wxid_1","type":2,"ttuid":"t","aid":"a"}`
		}
		if r.proto != "HTTP/1.1" || r.path != "/v1/secondLogin" || r.body != want || r.header.Get("Authorization") != secret {
			t.Errorf("got %+v, want the body %s", r, want)
		}
		if r.header.Get("Accept-Encoding") != "" || r.header.Get("Idempotency-Key") != "" {
			t.Errorf("headers %v", r.header)
		}
		j.TTUID, j.AID = "t", "a"
	}
	open := newClient(t, Options{URL: s.URL})
	if _, err := open.SecondLogin(t.Context(), j, always); err != nil {
		t.Fatal(err)
	}
	if _, sent := (<-requests).header["Authorization"]; sent {
		t.Error("an Authorization header without a credential")
	}
}

func TestCancelledWhileOpen(t *testing.T) { testCancelledWhileOpen(t, direct) }

func TestCancelledWhileOpenProxied(t *testing.T) { testCancelledWhileOpen(t, proxied) }

func testCancelledWhileOpen(t *testing.T, way func(*testing.T, *Client) *Client) {
	gw := newGateway(t, gatewaytest.Options{})
	c := way(t, newClient(t, Options{URL: gw.URL}))
	gw.Set("a", gatewaytest.Behaviour{Manual: true})
	stop := errors.New("the worker stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if gw.WaitOpen(ctx, "a") == nil {
			cancel(stop)
		}
	}()
	_, err := c.SecondLogin(ctx, testJob("a"), always)
	checkClass(t, err, ErrAmbiguous)
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the context's cause in it", err)
	}
	if n := gw.Account("a").Open; n != 1 {
		t.Errorf("%d prompts are open, want 1", n)
	}
}

func TestCancelledByMayStart(t *testing.T) {
	gw := newGateway(t, gatewaytest.Options{})
	c := newClient(t, Options{URL: gw.URL})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	veto := errors.New("too late")
	_, err := c.SecondLogin(ctx, testJob("a"), func() error { cancel(); return veto })
	if !errors.Is(err, veto) && !errors.Is(err, worker.ErrNotStarted) || gw.Account("a").Prompts != 0 {
		t.Errorf("got %v, %+v", err, gw.Account("a"))
	}
}

func BenchmarkSecondLogin(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": 1001})
	}))
	defer s.Close()
	c, err := New(Options{URL: s.URL, MaxConns: 64})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.SecondLogin(b.Context(), testJob("a"), always); err != nil {
				b.Fatal(err)
			}
		}
	})
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
	j := testJob("wxid_1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.SecondLogin(b.Context(), j, always); err != nil {
			b.Fatal(err)
		}
	}
}
