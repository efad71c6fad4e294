package console

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
)

const (
	requestTimeout = 10 * time.Second // for a request to come
	replyTimeout   = 2 * time.Minute  // for its reply, which may be a search
	idleTimeout    = time.Minute
	maxHead        = 16 << 10
)

// Serve serves a console until ctx ends, and returns nil then. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, o Options) error {
	c, err := New(o)
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer c.Close()
	return httpserver.Serve(ctx, listener, &http.Server{
		Handler: c.Handler(), ReadTimeout: requestTimeout, WriteTimeout: replyTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
	})
}
