// Package httpserver serves HTTP until a context ends: a pod's health and metrics, within bounds
// that no client can exhaust, and the simulated gateway, whose replies may take minutes.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	askTimeout   = 5 * time.Second // for an answer of another process
	readyTimeout = 3 * time.Second // for all that readiness asks
	closeTimeout = 2 * time.Second // for requests that are under way when the server ends

	// Of health and metrics.
	readTimeout        = 5 * time.Second  // for a request, and of any server for its head
	writeTimeout       = 10 * time.Second // from a request's head to the end of the reply
	monitorIdleTimeout = time.Minute      // between requests
	maxMonitorHead     = 8 << 10
	maxMonitorConns    = 256
)

// Readiness is one thing that must work before jobs can be done.
type Readiness struct {
	Name string
	Err  error  // nil: it works
	Note string // what else there is to know of it
}

// Listen returns a listener for [Serve]. The caller hands it there, or closes it.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		var wire *net.OpError
		if errors.As(err, &wire) {
			err = wire.Err // without the address, which it would say again
		}
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return listener, nil
}

// Serve has the server serve until ctx ends, lets requests under way end shortly, and returns
// nil. It closes the listener. A reply may take as long as it wants, unless the server has a bound.
func Serve(ctx context.Context, listener net.Listener, server *http.Server) error {
	server.ReadHeaderTimeout, server.ErrorLog = readTimeout, slog.NewLogLogger(slog.DiscardHandler, 0)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// Monitor returns a server for [Serve] that answers /livez, /readyz and /metrics, within bounds
// that no client can exhaust.
func Monitor(ready func(context.Context) []Readiness, metrics prometheus.Gatherer, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readyz(w, r, ready) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
	}))
	return &http.Server{
		Handler: mux, ConnState: boundConns(maxMonitorConns), ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: monitorIdleTimeout, MaxHeaderBytes: maxMonitorHead,
	}
}

// boundConns returns what closes the oldest connection of a server, as its ConnState, where
// more than limit are open. A listener that does not accept while so many are open would let
// slow clients shut out the health check, and have a good pod restarted.
func boundConns(limit int) func(net.Conn, http.ConnState) {
	var mu sync.Mutex
	var open []net.Conn // the oldest first
	return func(c net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			if open = append(open, c); len(open) > limit {
				_ = open[0].Close()
				open = slices.Delete(open, 0, 1)
			}
		case http.StateClosed:
			open = slices.DeleteFunc(open, func(o net.Conn) bool { return o == c })
		case http.StateActive, http.StateIdle, http.StateHijacked: // open still; nothing hijacks
		}
	}
}

// readyz answers 200 when all works, else 503, with a line for each thing.
func readyz(w http.ResponseWriter, r *http.Request, ready func(context.Context) []Readiness) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	status, text := http.StatusOK, ""
	for _, one := range ready(ctx) {
		if one.Err != nil {
			status = http.StatusServiceUnavailable
			text += fmt.Sprintf("%s: %v\n", one.Name, one.Err)
			continue
		}
		text += strings.TrimSuffix(one.Name+": ok; "+one.Note, "; ") + "\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // whoever asks may be gone
}

// ErrNotReady is returned by [AskReady] when the worker answered that it isn't ready.
var ErrNotReady = errors.New("the worker is not ready")

// AskReady asks the monitor that listens on addr, on this machine, and writes the lines of its
// answer to w. It blocks for five seconds at most.
func AskReady(ctx context.Context, addr string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	// Without a proxy. An address that listens on all interfaces is dialed on this machine.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("read the worker's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return ErrNotReady
	}
	return nil
}
