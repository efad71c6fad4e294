package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/relogin/relogin/queue"
)

type setupSettings struct {
	NATS    natsSettings
	Streams streamSettings
	Mode    setupMode
	Log     logSettings
}

// setupMode is what else setup does than to create. It is flags alone.
type setupMode struct {
	Check  bool
	Update bool
	Output output
}

func (m *setupMode) declare(s *settings) {
	s.titled("Setup")
	s.addFlag("check", toggle(&m.Check), "false", "create and change nothing: exit status 1 when anything is missing or not as the settings say")
	s.addFlag("update", toggle(&m.Update), "false",
		"change what is not as the settings say, wherever NATS can change it in place. A consumer that is changed may deliver the jobs that it has delayed too early or too late; streams whose replicas grow store nothing for about ten seconds")
	declareOutput(s, &m.Output)
}

func (m *setupMode) check(s *settings) {
	s.require(!m.Check || !m.Update, "want only one of --check and --update", "update", "check")
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
	settings := a.declare(cmd, &s.NATS, &s.Streams, &s.Mode, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.setUp(cmd.Context(), settings, &s) }
	return cmd
}

func (a *app) setUp(ctx context.Context, settings *settings, s *setupSettings) error {
	log := a.logger(settings, s.Log)
	nc, err := s.NATS.connect(ctx, "relogin setup", log)
	if err != nil {
		return err
	}
	defer nc.Close()
	config, p := s.Streams.config(s.NATS.Namespace, log), a.printer(s.Mode.Output)
	if s.Mode.Update {
		if err := updateQueue(ctx, nc, config, p); err != nil {
			return err
		}
	}
	if !s.Mode.Check {
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
func (a *app) tellFound(s *setupSettings, p *printer, found []queue.Finding) error {
	failed := s.Mode.Check && len(found) > 0
	for _, f := range found {
		if err := p.finding(f); err != nil {
			return err
		}
		failed = failed || f.Severity != queue.Differs
	}
	if failed {
		return errReported
	}
	if len(found) > 0 || s.Mode.Output == outputJSON {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, "The streams and consumers of namespace %s are there, and as the settings say.\n", s.NATS.Namespace)
	return err
}

// updateQueue prints what was changed, also when something else could not be.
func updateQueue(ctx context.Context, nc *nats.Conn, config queue.Config, p *printer) error {
	changed, err := queue.Update(ctx, nc, config)
	for _, f := range changed {
		if err := p.finding(f); err != nil {
			return err
		}
	}
	return err
}
