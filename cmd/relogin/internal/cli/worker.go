package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

func newWorkerCommand(p *Program) *cobra.Command {
	s := pod.Settings{Version: releaseOf(p.Version)}
	return p.command(&cobra.Command{
		Use:   "worker",
		Short: "take jobs until SIGTERM or SIGINT",
		Long: `Takes jobs, asks the gateway to confirm each account's login on its phone under the account's lock, and publishes one event for each job. Start as many as you like.

SIGTERM or SIGINT stops it cleanly: it takes no more jobs, hands back those that only wait, and lets open confirmations finish within the grace. A second signal stops it at once. Nothing is lost either way.`,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		defer exitOnSecondSignal(log)()
		pod.GiveGCRoom()
		return pod.Run(ctx, &s, log)
	}, &s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output)
}

// exitOnSecondSignal ends the process with status 1 at the second SIGTERM or SIGINT. It is not
// left to the system, which ignores them for the first process of a container; and it listens
// from the start, since the second signal may come right after the first.
func exitOnSecondSignal(log *slog.Logger) (stop func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
		}
		log.Warn("stopping at once: jobs come back after the ack-wait, accounts with open prompts stay locked until their leases end")
		os.Exit(exitFailed)
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
