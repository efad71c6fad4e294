package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

type setupSettings struct {
	NATS    backend.NATS
	Streams backend.Streams
	Mode    setupMode
	Log     logging.Settings
}

// setupMode is what else setup does than to create. It is flags alone.
type setupMode struct {
	CheckOnly bool
	Update    bool
	Output    output.Format
}

func (m *setupMode) Declare(s *settings.Settings) {
	s.Section("Setup")
	s.AddFlag("check", settings.Bool(&m.CheckOnly), "false", "create and change nothing: exit status 1 when anything is missing or not as the settings say")
	s.AddFlag("update", settings.Bool(&m.Update), "false",
		"change what is not as the settings say, wherever NATS can change it in place. A consumer that is changed may deliver the jobs that it has delayed too early or too late; streams whose replicas grow store nothing for about ten seconds")
	output.Declare(s, &m.Output)
}

func (m *setupMode) Check(s *settings.Settings) {
	s.Require(!m.CheckOnly || !m.Update, "want only one of --check and --update", "update", "check")
}

func newSetupCommand(p *Program) *cobra.Command {
	var s setupSettings
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "create, check or change the streams and consumers",
		Long: `Creates the streams and consumers that are missing, and checks those that are there. It changes none unless told to. A worker does the same when it starts; with --no-setup it only checks. It may be run as often as you like.

What would break a promise is refused, with exit status 1, and no worker starts then. What merely differs from the settings is told, and harms nothing. Each line names the command that changes it.`,
		Args: noArguments,
	}
	settings.Declare(cmd, p.Environ, &s.NATS, &s.Streams, &s.Mode, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return setUp(cmd.Context(), &s, output.NewPrinter(p.Stdout, s.Mode.Output, p.Environ), s.Log.Logger(p.Stderr))
	}
	return cmd
}

func setUp(ctx context.Context, s *setupSettings, p *output.Printer, log *slog.Logger) error {
	nc, err := s.NATS.Connect(ctx, "relogin setup", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	config := s.Streams.Config
	config.Namespace, config.Logger = s.NATS.Namespace, log
	if s.Mode.Update {
		changed, err := queue.Update(ctx, nc, config)
		if err := errors.Join(printFindings(p, changed), err); err != nil {
			return err
		}
	}
	if !s.Mode.CheckOnly {
		// What can't serve is among what is found below.
		if err := queue.Setup(ctx, nc, config); err != nil && !errors.Is(err, queue.ErrMismatch) {
			return err
		}
	}
	found, err := queue.Check(ctx, nc, config)
	if err := errors.Join(err, printFindings(p, found)); err != nil {
		return err
	}
	harmful := func(f queue.Finding) bool { return s.Mode.CheckOnly || f.Severity != queue.Differs }
	if slices.ContainsFunc(found, harmful) {
		return errReported
	}
	if len(found) > 0 || s.Mode.Output == output.JSON {
		return nil
	}
	return p.Print(nil, "The streams and consumers of namespace %s are there, and as the settings say.\n", s.NATS.Namespace)
}

func printFindings(p *output.Printer, found []queue.Finding) error {
	for _, f := range found {
		if err := p.Finding(f); err != nil {
			return err
		}
	}
	return nil
}
