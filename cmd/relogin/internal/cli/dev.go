//go:build !nodev

package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/dev"
	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

func newDevCommand(a *app) *cobra.Command {
	var s dev.Settings
	var log logging.Settings
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "everything in one process, nothing to install",
		Long: `Runs an embedded NATS server with JetStream, an embedded Redis-compatible server, a simulated gateway with phones, and a worker, on loopback. It submits sample jobs, one for each way in which a job can end, and shows the events as they arrive. Then it goes on, so that submit, watch and the nats command line work against it from another terminal.

With --gateway-url or --tenants-file it works against a real gateway: it submits no samples then.`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.BoolVar(&s.Once, "once", false, "end after the samples: exit status 0 when each job had its event")
	flags.IntVar(&s.Jobs, "jobs", 0, "further sample jobs, which all succeed, three to an account")
	flags.StringVar(&s.DataDir, "data-dir", "", "keep the queue in this directory; default: in a temporary one")
	declared := a.registry.Declare(cmd, &s.Gateway, &s.Pipeline, &s.Streams, &s.Output, &log)
	for name, value := range dev.Presets {
		declared.SetDefault(name, value)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		simulate := !declared.IsSet("gateway-url") && !declared.IsSet("tenants-file")
		if !simulate && (s.Once || s.Jobs > 0) {
			return settings.UsageError{Err: errors.New("--once and --jobs are about the samples, and a real gateway (--gateway-url or --tenants-file) gets none: leave them out, and send jobs with relogin submit")}
		}
		return dev.Run(cmd.Context(), dev.Options{
			Settings: &s, Simulate: simulate, Stdout: a.stdout,
			Printer: output.NewPrinter(a.stdout, output.Text, a.environ), Logger: log.Logger(a.stderr, declared),
		})
	}
	return cmd
}
