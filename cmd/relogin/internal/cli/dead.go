package cli

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

func newDeadCommand(p *Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "look at dead letters, bring them back, or drop them",
		Long:  `Dead letters are messages that could not be processed: no jobs at all, jobs that break a rule or name an unknown tenant, and jobs that were delivered too often. Here too are events that a durable consumer could not handle. Each is kept for --dead-max-age, its bytes untouched.`,
		Args:  unknownCommand,
		RunE: func(*cobra.Command, []string) error {
			return settings.UsageError{Err: errors.New("a command is missing: list, show, replay or drop")}
		},
	}
	list := newDeadSubcommand(p, "list")
	list.Short = "list them, grouped by reason"
	list.Example = `  relogin dead list
  relogin dead list --each --tenant acme --since 24h`
	show := newDeadSubcommand(p, "show SEQUENCE")
	show.Short = "show one, with its body as JSON"
	show.Long = "Shows one dead letter: why it died, where it was before, and its body as JSON, whatever its encoding. A login's token and data are not shown."
	replay := newDeadSubcommand(p, "replay [flags] [SEQUENCE…]")
	replay.Short = "publish them as jobs again"
	replay.Long = `Publishes dead letters as jobs again, in their lanes, with the bytes, headers and ids that they had, and removes them from the dead letters. Each becomes one job, however often this is repeated.

Workers take a job whose id they remember for the same job: one that was given up as unknown asks nobody again before --job-memory is over. One that was invalid is welcome under its id, and dies again unless what was wrong is mended: the settings of a tenant, for example. A job with wrong bytes has to be sent anew by who made it.`
	replay.Example = `  relogin dead replay 17
  relogin dead replay --reason 'unknown tenant' --tenant acme --dry-run`
	drop := newDeadSubcommand(p, "drop [flags] [SEQUENCE…]")
	drop.Short = "delete them for good"
	drop.Long = "Deletes dead letters for good, after asking. They have had their events, where their accounts could be read."
	drop.Example = `  relogin dead drop 17 18
  relogin dead drop --before 168h --yes`
	cmd.AddCommand(list, show, replay, drop)
	return cmd
}

func newDeadSubcommand(p *Program, use string) *cobra.Command {
	s := letters.Settings{Stdin: p.Stdin}
	s.Command, _, _ = strings.Cut(use, " ")
	var n backend.NATS
	who := audit.Who{Flag: "why"}
	groups := []settings.Group{&s, &n}
	if s.Command == "replay" || s.Command == "drop" {
		groups = append(groups, &who)
	}
	check := func(_ *cobra.Command, args []string) error { return s.CheckArguments(args) }
	return p.command(&cobra.Command{Use: use, Args: check}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := n.ConnectSoon(ctx, "relogin dead "+s.Command, log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		all, err := queue.OpenDeadLetters(ctx, nc, n.Namespace)
		if err != nil {
			return err
		}
		record, err := queue.OpenAudit(nc, n.Namespace)
		if err != nil {
			return err
		}
		return letters.Run(ctx, letters.Options{
			Settings: &s, Who: &who, Letters: all, Audit: record, Stderr: p.Stderr, Printer: output.NewPrinter(p.Stdout, s.Output, p.Environ),
		})
	}, groups...)
}
