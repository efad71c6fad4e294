package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
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

func newSetupCommand(a *app) *cobra.Command {
	var s setupSettings
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "create, check or change the streams and consumers",
		Long: `Creates the streams and consumers that are missing, and checks those that are there. It changes none unless told to. A worker does the same when it starts; with --no-setup it only checks. It may be run as often as you like.

What would break a promise is refused, with exit status 1, and no worker starts then. What merely differs from the settings is told, and harms nothing. Each line names the command that changes it.`,
		Args: noArguments,
	}
	declared := a.registry.Declare(cmd, &s.NATS, &s.Streams, &s.Mode, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.setUp(cmd.Context(), &s, s.Log.Logger(a.stderr, declared))
	}
	return cmd
}

func (a *app) setUp(ctx context.Context, s *setupSettings, log *slog.Logger) error {
	nc, err := s.NATS.Connect(ctx, "relogin setup", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	config, p := s.Streams.Config(s.NATS.Namespace, log), output.NewPrinter(a.stdout, s.Mode.Output, a.environ)
	if s.Mode.Update {
		if err := updateQueue(ctx, nc, config, p); err != nil {
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
	if err != nil {
		return err
	}
	return a.tellFound(s, p, found)
}

// tellFound prints what was found. It returns [errReported] when that is to fail.
func (a *app) tellFound(s *setupSettings, p *output.Printer, found []queue.Finding) error {
	failed := s.Mode.CheckOnly && len(found) > 0
	for _, f := range found {
		if err := p.Finding(f); err != nil {
			return err
		}
		failed = failed || f.Severity != queue.Differs
	}
	if failed {
		return errReported
	}
	if len(found) > 0 || s.Mode.Output == output.JSON {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "The streams and consumers of namespace %s are there, and as the settings say.\n", s.NATS.Namespace)
	return err
}

// updateQueue prints what was changed, also when something else could not be.
func updateQueue(ctx context.Context, nc *nats.Conn, config queue.Config, p *output.Printer) error {
	changed, err := queue.Update(ctx, nc, config)
	for _, f := range changed {
		if err := p.Finding(f); err != nil {
			return err
		}
	}
	return err
}
