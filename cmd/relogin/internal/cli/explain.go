package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// explainSettings are those of relogin explain. They are flags alone.
type explainSettings struct {
	job    string
	output output.Format
}

// Declare implements [settings.Group].
func (s *explainSettings) Declare(to *settings.Settings) {
	to.Section("Explain")
	to.AddFlag("job", settings.Text(&s.job), "", "where the job of this id is, too")
	output.Declare(to, &s.output)
}

func newExplainCommand(p *Program) *cobra.Command {
	var s explainSettings
	var n backend.NATS
	var r backend.Redis
	return p.command(&cobra.Command{
		Use:   "explain WCID",
		Short: "tell why an account waits, and where a job is",
		Long:  "Tells in one sentence why nothing happens for an account and what to do, and below it: who holds the account and for how long, its jobs in pods and in the queue, its cool-down, what is paused, and its last events.",
		Example: `  relogin explain wxid_42
  relogin explain wxid_42 --job order-17`,
		Args: oneAccount,
	}, func(ctx context.Context, declared *settings.Settings, log *slog.Logger) error {
		sources, closes, err := openSources(ctx, "explain", &n, &r, log)
		if err != nil {
			return err
		}
		defer closes()
		a, err := sources.Account(ctx, declared.Args[0])
		if err != nil {
			return err
		}
		var j *cockpit.Job
		if s.job != "" {
			if j, err = sources.Job(ctx, a, s.job); err != nil {
				return err
			}
		}
		return a.Print(output.NewPrinter(p.Stdout, s.output, p.Environ), j)
	}, &s, &n, &r)
}

func oneAccount(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return settings.UsageError{Err: errOneAccount}
	}
	return nil
}
