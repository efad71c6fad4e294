package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// errEnough ends following events.
var errEnough = errors.New("enough")

// watchSettings say which events to print. They are flags alone.
type watchSettings struct {
	Outcomes []worker.Outcome
	Account  string
	Since    time.Time
	Count    int
	Output   output
}

func (w *watchSettings) declare(s *settings) {
	s.titled("Events")
	s.addFlag("outcome", choices(&w.Outcomes, worker.Outcomes()...), "", "only these, comma-separated, or the flag repeated")
	s.addFlag("account", text(&w.Account), "", "only this wcId's")
	s.addFlag("since", moment(&w.Since, -1), "", "begin with those stored since then: so long ago, such as 1h, or a time, such as 2026-01-31T15:04:05Z").fallsBackTo("now")
	s.addFlag("count", number(&w.Count, 0, 1_000_000_000), "0", "end after so many; 0: never")
	declareOutput(s, &w.Output)
}

func (*watchSettings) check(*settings) {}

func newWatchCommand(a *app) *cobra.Command {
	var s struct {
		Watch watchSettings
		NATS  natsSettings
		Log   logSettings
	}
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "print events as they arrive",
		Long:  "Prints each event as it arrives, until it is interrupted. Text leaves out a login's token and data; -o json prints all that the event has, as one JSON object a line, whatever the events are encoded in.",
		Example: `  relogin watch
  relogin watch --outcome failed,unknown --since 24h
  relogin watch --account wxid_1 -o json --count 1`,
		Args: noArguments,
	}
	settings := a.declare(cmd, &s.Watch, &s.NATS, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.watch(cmd.Context(), queue.FollowOptions{
			Namespace: s.NATS.Namespace, Account: s.Watch.Account, Outcomes: s.Watch.Outcomes,
			Since: s.Watch.Since, Logger: a.logger(settings, s.Log),
		}, &s.NATS, s.Watch)
	}
	return cmd
}

// watch prints events until there were enough, nobody reads them, or ctx ends.
func (a *app) watch(ctx context.Context, o queue.FollowOptions, n *natsSettings, s watchSettings) error {
	nc, err := n.connectSoon(ctx, "relogin watch", o.Logger, patience)
	if err != nil {
		return err
	}
	defer nc.Close()
	p := a.printer(s.Output)
	printed := 0
	err = queue.Follow(ctx, nc, o, func(e *worker.Event) error {
		if err := p.event(e); err != nil {
			return err
		}
		if printed++; printed == s.Count {
			return errEnough
		}
		return nil
	})
	if ctx.Err() != nil || errors.Is(err, errEnough) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
