package dev

import (
	"context"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/cmd/relogin/internal/console"
	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/queue"
)

// startConsole starts the web console on what the worker uses, unless dev mode ends by itself: nobody
// would see it.
func (d *dev) startConsole(ctx context.Context) (end func(), err error) {
	if d.Settings.Once {
		return func() {}, nil
	}
	sources, err := cockpit.Open(ctx, d.nats, "relogin")
	if err != nil {
		return nil, err
	}
	record, err := queue.OpenAudit(d.nats, "relogin")
	if err != nil {
		return nil, err
	}
	sources.Redis, err = cache.OpenInspector(cache.Options{URL: d.Settings.Redis.URL, Namespace: "relogin", Pod: "console", Logger: d.Logger})
	if err != nil {
		return nil, err
	}
	listener, err := httpserver.Listen(ctx, consoleAddr)
	if err != nil {
		listener, err = httpserver.Listen(ctx, anyPort)
	}
	if err != nil {
		_ = sources.Redis.Close()
		return nil, err
	}
	d.console = "http://" + listener.Addr().String()
	stop := background(func(ctx context.Context) {
		if err := console.Serve(ctx, listener, console.Options{Sources: sources, Audit: record, By: audit.Login(), Log: d.Logger}); err != nil {
			d.Logger.Error("the console ended", "error", err)
		}
	})
	return func() { stop(); _ = sources.Redis.Close() }, nil
}
