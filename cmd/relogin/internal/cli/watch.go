package cli

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// errEnough ends following events.
var errEnough = errors.New("enough")

// watchSettings say which events to print. They are flags alone.
type watchSettings struct {
	Outcomes []job.Outcome
	Account  string
	Since    time.Time
	Count    int
	Output   output.Format
}

func (w *watchSettings) Declare(s *settings.Settings) {
	s.Section("Events")
	s.AddFlag("outcome", settings.Choices(&w.Outcomes, job.Outcomes()...), "", "only these, comma-separated, or the flag repeated")
	s.AddFlag("account", settings.Text(&w.Account), "", "only this wcId's")
	s.AddFlag("since", settings.Time(&w.Since, -1), "", "begin with those stored since then: so long ago, such as 1h, or a time, such as 2026-01-31T15:04:05Z").Default = "now"
	s.AddFlag("count", settings.Int(&w.Count, 0, 1_000_000_000), "0", "end after so many; 0: never")
	output.Declare(s, &w.Output)
}

func newWatchCommand(p *Program) *cobra.Command {
	var s watchSettings
	var n backend.NATS
	return p.command(&cobra.Command{
		Use:   "watch",
		Short: "print events as they arrive",
		Long:  "Prints each event as it arrives, until it is interrupted. Text leaves out a login's token and data; -o json prints all that the event has, as one JSON object a line, whatever the events are encoded in.",
		Example: `  relogin watch
  relogin watch --outcome failed,unknown --since 24h
  relogin watch --account wxid_1 -o json --count 1`,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := n.ConnectSoon(ctx, "relogin watch", log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		printer, printed := output.NewPrinter(p.Stdout, s.Output, p.Environ), 0
		err = queue.Follow(ctx, nc, queue.FollowOptions{
			Namespace: n.Namespace, Account: s.Account, Outcomes: s.Outcomes, Since: s.Since, Logger: log,
		}, func(e *job.Event) error {
			err := printer.Event(e)
			if printed++; err == nil && printed == s.Count {
				err = errEnough
			}
			return err
		})
		if ctx.Err() != nil || errors.Is(err, errEnough) || errors.Is(err, syscall.EPIPE) {
			return nil // nobody wants more
		}
		return err
	}, &s, &n)
}
