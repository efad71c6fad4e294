package cli

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/jobfile"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/submit"
)

func newSubmitCommand(p *Program) *cobra.Command {
	var s submit.Settings
	var n backend.NATS
	return p.command(&cobra.Command{
		Use:   "submit [flags] [WCID…]",
		Short: "publish jobs",
		Long: `Publishes a job for each wcId, and with --wait waits until each has its event.

A file has a wcId a line, or is CSV whose first line names the columns: ` + jobfile.Columns + `. Blank lines and those that begin with # are passed over. All of it is read and checked before the first job is published: with a wrong line nothing is, and each is named.`,
		Example: `  relogin submit wxid_1 wxid_2
  relogin submit wxid_1 --urgent --deadline 3m --wait
  printf 'wcId,id,label.batch\nwxid_1,job-1,7\n' | relogin submit --file - --wait -o json`,
		Args: func(_ *cobra.Command, args []string) error { return s.CheckArguments(args) },
	}, func(ctx context.Context, declared *settings.Settings, log *slog.Logger) error {
		if d := s.Timeout; d > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, d, fmt.Errorf("time-out after %s", d))
			defer cancel()
		}
		jobs, err := s.Gather(declared.Args, p.Stdin)
		if err != nil {
			return err
		}
		nc, err := n.ConnectSoon(ctx, "relogin submit", log, cmp.Or(s.Timeout, backend.Patience))
		if err != nil {
			return err
		}
		defer nc.Close()
		return submit.Run(ctx, submit.Options{
			Settings: &s, Namespace: n.Namespace, Conn: nc,
			Stderr: p.Stderr, Printer: output.NewPrinter(p.Stdout, s.Output, p.Environ),
		}, jobs)
	}, &s, &n)
}
