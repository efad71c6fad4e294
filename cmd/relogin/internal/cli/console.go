package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/console"
	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

func newConsoleCommand(p *Program) *cobra.Command {
	var s console.Settings
	var n backend.NATS
	var r backend.Redis
	return p.command(&cobra.Command{
		Use:   "console",
		Short: "serve all of this to a browser",
		Long: `Serves a web console: what status, explain, dead list and pause --list show, in English and Chinese, refreshed every two seconds. Operators pause, resume, replay and drop there, and the audit has their names.

Without --users-file it listens on this machine alone, and whoever reaches it is an operator. With it people log in; put a proxy with TLS before it.`,
		Example: `  relogin console
  relogin console --http-addr :8081 --users-file users.yaml`,
		Args: settings.NoArguments,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		listener, err := httpserver.Listen(ctx, s.Addr)
		if err != nil {
			return fmt.Errorf("flag --http-addr: %w", err)
		}
		defer listener.Close()
		sources, closes, err := openSources(ctx, "console", &n, &r, log)
		if err != nil {
			return err
		}
		defer closes()
		record, err := queue.OpenAudit(sources.NATS, n.Namespace)
		if err != nil {
			return err
		}
		log.Info("console listens", "url", fmt.Sprintf("http://%s", listener.Addr()), "users", len(s.Users))
		return console.Serve(ctx, listener, console.Options{
			Sources: sources, Audit: record, Users: s.Users, Secret: s.Secret, By: audit.Login(), Log: log,
		})
	}, &s, &n, &r)
}
