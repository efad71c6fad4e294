package cli

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
)

func newWorkerCommand(a *app) *cobra.Command {
	var s pod.Settings
	var log logging.Settings
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "take jobs until SIGTERM or SIGINT",
		Long: `Takes jobs, asks the gateway to confirm each account's login on its phone under the account's lock, and publishes one event for each job. Start as many as you like.

SIGTERM or SIGINT stops it cleanly: it takes no more jobs, hands back those that only wait, and lets open confirmations finish within the grace. A second signal stops it at once. Nothing is lost either way.`,
		Args: noArguments,
	}
	declared := a.registry.Declare(cmd, &s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output, &log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := log.Logger(a.stderr, declared)
		defer exitOnSecondSignal(log)()
		pod.GiveGCRoom()
		return pod.Run(cmd.Context(), &s, log)
	}
	return cmd
}

// exitOnSecondSignal ends the process with status 1 at the second SIGTERM or SIGINT.
// It is not left to the system, which ignores them for the first process of a container.
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
