package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMonitor(t *testing.T) {
	var broken error
	m := &monitor{
		Ready: func(context.Context) []readiness {
			return []readiness{{Name: "nats"}, {Name: "redis", Err: broken}}
		},
		Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}
	ctx, stop := context.WithCancel(t.Context())
	listener, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	if got := relogin(t, nil, "", "health", "--http-addr", addr); got.status != exitDone || got.stdout != "nats: ok\nredis: ok\n" {
		t.Errorf("healthy: %+v", got)
	}
	broken = errors.New("no route")
	if got := relogin(t, nil, "", "health", "--http-addr", addr); got.status != exitFailed || got.stdout != "nats: ok\nredis: no route\n" {
		t.Errorf("broken: %+v", got)
	}
	for path, want := range map[string]int{"/livez": 200, "/metrics": 200, "/debug/pprof/": 404} {
		response, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
	}
	stop()
	running.Wait()
}

func TestListenFails(t *testing.T) {
	listener, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := relogin(t, nil, "", "gateway", "--addr", listener.Addr().String()); got.status != exitFailed {
		t.Errorf("%+v", got)
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "127.0.0.1:1", "10.0.0.1:1": "10.0.0.1:1", "[::1]:1": "[::1]:1",
	} {
		if got := loopback(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
