package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMonitor(t *testing.T) {
	var broken error
	m := Monitor(func(context.Context) []Readiness {
		return []Readiness{{Name: "nats"}, {Name: "redis", Err: broken}}
	}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	listener, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		if err := Serve(ctx, listener, m); err != nil {
			t.Error(err)
		}
	})
	var told strings.Builder
	if err := AskReady(t.Context(), addr, &told); err != nil || told.String() != "nats: ok\nredis: ok\n" {
		t.Errorf("healthy: %v, %q", err, &told)
	}
	told.Reset()
	broken = errors.New("no route")
	if err := AskReady(t.Context(), addr, &told); !errors.Is(err, ErrNotReady) || told.String() != "nats: ok\nredis: no route\n" {
		t.Errorf("broken: %v, %q", err, &told)
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

// What listens on all interfaces is asked on this machine.
func TestAskReadyOfAllInterfaces(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for _, host := range []string{"", "0.0.0.0", "[::]"} {
		ctx, stop := context.WithCancel(t.Context())
		listener, err := Listen(ctx, host+":0")
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { _ = Serve(ctx, listener, newTestMonitor()) })
		if err := AskReady(t.Context(), fmt.Sprintf("%s:%d", host, listener.Addr().(*net.TCPAddr).Port), io.Discard); err != nil {
			t.Errorf("%q: %v", host, err)
		}
		stop()
		running.Wait()
	}
}
