package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const healthTimeout = 5 * time.Second

// healthSettings say which worker to ask.
type healthSettings struct{ HTTPAddr string }

func (h *healthSettings) declare(s *settings) {
	s.titled("Worker")
	declareHTTPAddr(s, &h.HTTPAddr)
}

func (h *healthSettings) check(s *settings) {
	if h.HTTPAddr == "" && !s.named("http-addr").wrong {
		s.refuse(errors.New("--http-addr is not set: the worker must serve HTTP to be asked"))
	}
}

func newHealthCommand(a *app) *cobra.Command {
	var s healthSettings
	cmd := &cobra.Command{
		Use:   "health",
		Short: "ask this machine's worker whether it is ready",
		Long:  "Asks the worker on this machine, at /readyz of its --http-addr, and prints its answer. The exit status is 0 when it is ready, else 1: the health check of a container.",
		Args:  noArguments,
	}
	a.declare(cmd, &s)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return askHealth(cmd.Context(), s.HTTPAddr, a.stdout) }
	return cmd
}

// askHealth prints the lines of /readyz. Its error says that the worker isn't ready.
func askHealth(ctx context.Context, addr string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback(addr)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("read the worker's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return errReported
	}
	return nil
}

// loopback returns the address to reach a server at that listens on addr.
func loopback(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
