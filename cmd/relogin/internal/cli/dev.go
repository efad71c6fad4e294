//go:build !nodev

package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/dev"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// samples are the settings of the sample jobs. They are flags alone.
type samples struct{ *dev.Settings }

func (o samples) Declare(s *settings.Settings) {
	s.Presets = dev.Presets
	s.Section("Flags")
	s.AddFlag("once", settings.Bool(&o.Once), "", "end after the samples: exit status 0 when each job had its event")
	s.AddFlag("jobs", settings.Int(&o.Jobs, 0, 1_000_000), "0", "further sample jobs, which all succeed, three to an account")
	s.AddFlag("data-dir", settings.Text(&o.DataDir), "", "keep the queue in this directory").Default = "a temporary one"
}

func (o samples) Check(s *settings.Settings) {
	if (o.Once || o.Jobs > 0) && !simulated(s) {
		s.Refuse(errors.New("--once and --jobs are about the samples, and a real gateway (--gateway-url or --tenants-file) gets none: leave them out, and send jobs with relogin submit"))
	}
}

// simulated tells whether no real gateway is named.
func simulated(s *settings.Settings) bool { return !s.IsSet("gateway-url") && !s.IsSet("tenants-file") }

func newDevCommand(p *Program) *cobra.Command {
	var s dev.Settings
	s.Version = releaseOf(p.Version)
	return p.command(&cobra.Command{
		Use:   "dev",
		Short: "everything in one process, nothing to install",
		Long: `Runs an embedded NATS server with JetStream, an embedded Redis-compatible server, a simulated gateway with phones, and a worker, on loopback. It submits sample jobs, one for each way in which a job can end, and shows the events as they arrive. Then it goes on, so that submit, watch and the nats command line work against it from another terminal.

With --gateway-url or --tenants-file it works against a real gateway: it submits no samples then.`,
	}, func(ctx context.Context, declared *settings.Settings, log *slog.Logger) error {
		return dev.Run(ctx, dev.Options{
			Settings: &s, Simulate: simulated(declared), Stdout: p.Stdout,
			Printer: output.NewPrinter(p.Stdout, output.Text, p.Environ), Logger: log,
		})
	}, samples{&s}, &s.Gateway, &s.Pipeline, &s.Streams, &s.Output)
}
