package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/cancel"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

func newCancelCommand(p *Program) *cobra.Command {
	var s cancel.Settings
	var n backend.NATS
	var streams backend.Streams
	var r backend.Redis
	var who audit.Who
	var events pod.EncodingSettings
	return p.command(&cobra.Command{
		Use:   "cancel [flags] [WCID JOBID]",
		Short: "end jobs that have not asked their phones yet",
		Long: `Ends a job that has not made its phone ask: it has the event cancelled at once, wherever it is, in the queue, waiting in a pod, or handed back. For one whose phone asks, or may have asked, it is too late, and the command says so.

--all takes every job of an account, a tenant or a label. Jobs that are sent while it runs may be left out: pause the tenant or the account first.`,
		Example: `  relogin cancel wxid_42 order-17
  relogin cancel --all --tenant acme --dry-run`,
		Args: func(_ *cobra.Command, args []string) error { return s.CheckArguments(args) },
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := n.ConnectSoon(ctx, "relogin cancel", log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		o := cancel.Options{Settings: &s, Who: &who, Namespace: n.Namespace, NATS: nc, Stderr: p.Stderr, Printer: output.NewPrinter(p.Stdout, s.Output, p.Environ)}
		if o.Jobs, err = queue.OpenJobs(ctx, nc, n.Namespace); err != nil {
			return err
		}
		if o.Audit, err = queue.OpenAudit(nc, n.Namespace); err != nil {
			return err
		}
		config := streams.Config
		config.Namespace, config.EventEncoding = n.Namespace, events.EventEncoding // and no logger: relogin setup tells what is not as it should be
		q, err := queue.Open(ctx, nc, config)
		if err != nil {
			return err
		}
		defer q.Close()
		o.Queue = q
		store, err := r.Inspect(n.Namespace, "cancel", streams.EventMaxAge, log)
		if err != nil {
			return err
		}
		defer store.Close()
		o.Store = store
		return cancel.Run(ctx, o)
	}, &s, &who, &n, &streams, &r, &events)
}
