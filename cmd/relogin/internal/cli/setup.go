package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

// setupSettings are those of the queue, and what else setup does than to create: the latter
// are flags alone.
type setupSettings struct {
	NATS      backend.NATS
	Streams   backend.Streams
	CheckOnly bool
	Update    bool
	Output    output.Format
}

func (m *setupSettings) Declare(s *settings.Settings) {
	s.Section("Setup")
	s.AddFlag("check", settings.Bool(&m.CheckOnly), "false", "create and change nothing: exit status 1 when anything is missing or not as the settings say")
	s.AddFlag("update", settings.Bool(&m.Update), "false",
		"change what is not as the settings say, wherever NATS can change it in place. A consumer that is changed may deliver the jobs that it has delayed too early or too late; streams whose replicas grow store nothing for about ten seconds")
	output.Declare(s, &m.Output)
}

func (m *setupSettings) Check(s *settings.Settings) {
	s.Require(!m.CheckOnly || !m.Update, "want only one of --check and --update", "update", "check")
}

func newSetupCommand(p *Program) *cobra.Command {
	var s setupSettings
	return p.command(&cobra.Command{
		Use:   "setup",
		Short: "create, check or change the streams and consumers",
		Long: `Creates the streams and consumers that are missing, and checks those that are there. It changes none unless told to. A worker does the same when it starts; with --no-setup it only checks. It may be run as often as you like.

What would break a promise is refused, with exit status 1, and no worker starts then. What merely differs from the settings is told, and harms nothing. Each line names the command that changes it.`,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		return s.run(ctx, output.NewPrinter(p.Stdout, s.Output, p.Environ), log)
	}, &s.NATS, &s.Streams, &s)
}

func (m *setupSettings) run(ctx context.Context, p *output.Printer, log *slog.Logger) error {
	nc, err := m.NATS.Connect(ctx, "relogin setup", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	config := m.Streams.Config
	config.Namespace, config.Logger = m.NATS.Namespace, log
	if m.Update {
		changed, err := queue.Update(ctx, nc, config)
		if err := errors.Join(printFindings(p, changed), err); err != nil {
			return err
		}
	}
	if !m.CheckOnly {
		// What can't serve is among what is found below.
		if err := queue.Setup(ctx, nc, config); err != nil && !errors.Is(err, queue.ErrMismatch) {
			return err
		}
	}
	found, err := queue.Check(ctx, nc, config)
	if err := errors.Join(err, printFindings(p, found)); err != nil {
		return err
	}
	harmful := func(f queue.Finding) bool { return m.CheckOnly || f.Severity != queue.Differs }
	if slices.ContainsFunc(found, harmful) {
		return errNotAsWanted
	}
	if len(found) > 0 || m.Output == output.JSON {
		return nil
	}
	return p.Print(nil, "The streams and consumers of namespace %s are there, and as the settings say.\n", m.NATS.Namespace)
}

func printFindings(p *output.Printer, found []queue.Finding) error {
	for _, f := range found {
		if err := p.Print(f, "%-7s  %v\n", f.Severity, f); err != nil {
			return err
		}
	}
	return nil
}
