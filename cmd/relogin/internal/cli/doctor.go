package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/doctor"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// doctorSettings are those of relogin doctor. They are flags alone.
type doctorSettings struct{ output output.Format }

// Declare implements [settings.Group].
func (s *doctorSettings) Declare(to *settings.Settings) {
	to.Section("Doctor")
	output.Declare(to, &s.output)
}

func newDoctorCommand(p *Program) *cobra.Command {
	var d doctorSettings
	var s pod.Settings
	return p.command(&cobra.Command{
		Use:   "doctor",
		Short: "examine everything that workers stand on",
		Long: `Examines NATS, the streams and this user's permissions, Redis, each tenant's gateway, and the pods that run: how they are set, which versions they are, and whether their clocks agree. Each line says what was found, how bad it is, and what to type. It changes nothing, and no phone asks.

Run it with the settings of a worker, where a worker runs. The exit status is 1 when something breaks a promise, or keeps jobs from going on.`,
		Args: settings.NoArguments,
	}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := s.NATS.ConnectSoon(ctx, "relogin doctor", log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		redis, err := s.Redis.Inspect(s.NATS.Namespace, "doctor", 0, log)
		if err != nil {
			return err
		}
		defer redis.Close()
		return doctor.Run(ctx, doctor.Options{Settings: &s, NATS: nc, Redis: redis, Log: log, Printer: output.NewPrinter(p.Stdout, d.output, p.Environ)})
	}, &d, &s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output)
}
