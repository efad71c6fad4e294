package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pauses"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

func newPauseCommand(p *Program) *cobra.Command {
	return p.pauseCommand(&cobra.Command{
		Use:   "pause",
		Short: "stop asking phones: for everything, a lane, a tenant or an account",
		Long: `Stops asking phones: for everything or, by a flag, for a lane, a tenant or an account. All pods see it within a second, and keep to it until somebody resumes it, or the time of --for is over, also after a restart. Confirmations that are open finish. Jobs that are paused wait; those whose deadline passes meanwhile end as expired.

A pod whose clock is wrong ends a pause with --for too early or too late by as much.`,
		Example: `  relogin pause --reason 'the gateway prompts twice'
  relogin pause --tenant acme --for 30m
  relogin pause --list`,
	}, &pauses.Settings{})
}

func newResumeCommand(p *Program) *cobra.Command {
	return p.pauseCommand(&cobra.Command{
		Use:   "resume",
		Short: "lift a pause",
		Long:  `Lifts the pause of everything or, by a flag, that of a lane, a tenant or an account. A job goes on once nothing is paused that it belongs to.`,
		Example: `  relogin resume
  relogin resume --tenant acme
  relogin resume --all`,
	}, &pauses.Settings{Resume: true})
}

func (p *Program) pauseCommand(cmd *cobra.Command, s *pauses.Settings) *cobra.Command {
	var n backend.NATS
	var who audit.Who
	cmd.Args = settings.NoArguments
	return p.command(cmd, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := n.ConnectSoon(ctx, "relogin "+cmd.Name(), log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		control, err := queue.OpenControl(ctx, nc, n.Namespace)
		if err != nil {
			return err
		}
		record, err := queue.OpenAudit(nc, n.Namespace)
		if err != nil {
			return err
		}
		return pauses.Run(ctx, pauses.Options{
			Settings: s, Who: &who, Control: control, Audit: record, Printer: output.NewPrinter(p.Stdout, s.Output, p.Environ),
		})
	}, s, &who, &n)
}
