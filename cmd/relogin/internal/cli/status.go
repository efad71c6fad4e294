package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// statusSettings are those of relogin status. They are flags alone.
type statusSettings struct {
	watch  bool
	every  time.Duration
	output output.Format
}

// Declare implements [settings.Group].
func (s *statusSettings) Declare(to *settings.Settings) {
	to.Section("Status")
	to.AddFlag("watch", settings.Bool(&s.watch), "false", "show it again and again, until it is interrupted")
	to.AddFlag("every", settings.Duration(&s.every, time.Second, time.Hour), "2s", "with --watch: how often")
	output.Declare(to, &s.output)
}

func newStatusCommand(p *Program) *cobra.Command {
	var s statusSettings
	var n backend.NATS
	return p.command(&cobra.Command{
		Use:   "status",
		Short: "show how everything stands",
		Long:  "Shows in one sentence how everything stands and what to do, and below it: lanes, pods, phones that ask, what jobs wait for, outcomes of the last minutes, trouble, pauses and dead letters. Pods that are frozen or cut off are not among those that are shown.",
		Args:  settings.NoArguments,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		sources, closes, err := openSources(ctx, "status", &n, nil, log)
		if err != nil {
			return err
		}
		defer closes()
		to := output.NewPrinter(p.Stdout, s.output, p.Environ)
		for {
			o, err := sources.Overview(ctx)
			if err != nil {
				return err
			}
			if s.watch && s.output != output.JSON {
				fmt.Fprint(p.Stdout, clearScreen)
			}
			if err := o.Print(to); err != nil || !s.watch {
				return err
			}
			select {
			case <-time.After(s.every):
			case <-ctx.Done():
				return nil
			}
		}
	}, &s, &n)
}

const clearScreen = "\x1b[H\x1b[2J"
