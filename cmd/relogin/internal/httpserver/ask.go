package httpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const askTimeout = 5 * time.Second

// ErrNotReady is returned by [AskReady] when the worker answered that it isn't ready.
var ErrNotReady = errors.New("the worker is not ready")

// AskReady asks the monitor that listens on addr, on this machine, and writes the lines of its
// answer to w. It blocks for five seconds at most.
func AskReady(ctx context.Context, addr string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
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
		return ErrNotReady
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
