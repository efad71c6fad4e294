package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/queue"
)

type setupSettings struct {
	NATS    natsSettings
	Streams streamSettings
	Log     logSettings
}

func newSetupCommand(a *app) *cobra.Command {
	var s setupSettings
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "create or check the streams and consumers",
		Long:  "Creates the streams and consumers that are missing, and checks those that are there; it changes none. A worker does it too, unless --no-setup is given. It may be run as often as you like.",
		Args:  noArguments,
	}
	settings := a.declare(cmd, &s.NATS, &s.Streams, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.setUp(cmd.Context(), settings, &s) }
	return cmd
}

func (a *app) setUp(ctx context.Context, settings *settings, s *setupSettings) error {
	log := a.logger(settings, s.Log)
	nc, err := queue.Connect(ctx, s.NATS.connection("relogin setup", log))
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := queue.Setup(ctx, nc, s.Streams.config(s.NATS.Namespace, log)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "The streams and consumers of namespace %s are there.\n", s.NATS.Namespace)
	return err
}
