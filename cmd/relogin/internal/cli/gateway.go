//go:build !nodev

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// simulationSettings are about the simulated gateway and its phones. They are flags
// alone: nobody deploys it.
type simulationSettings struct {
	Addr    string
	Options gatewaytest.Options
}

func (g *simulationSettings) Declare(s *settings.Settings) {
	s.Section("Simulation")
	o := &g.Options
	s.AddFlag("addr", settings.Address(&g.Addr), "127.0.0.1:18081", "where to listen")
	s.AddFlag("confirm-after", settings.Duration(&o.ConfirmAfter, 0, settings.Day), "2s", "how long people take to answer")
	s.AddFlag("jitter", settings.Duration(&o.Jitter, 0, settings.Day), "0s", "up to so much longer")
	s.AddFlag("prompt-life", settings.Duration(&o.PromptLife, time.Millisecond, settings.Day), "5m", "how long a prompt lives that nobody answers")
	s.AddFlag("authorization", settings.Secret(&o.Authorization), "", "credential that callers must send; none: anything will do")
	s.AddFlag("no-list", settings.Bool(&o.NoList), "", "answer 404 when asked who is online")
}

func newGatewayCommand(p *Program) *cobra.Command {
	var s simulationSettings
	return p.command(&cobra.Command{
		Use:   "gateway",
		Short: "run a simulated gateway with phones, to try things out",
		Long: `Runs a simulated gateway. Every account has a phone whose owner confirms; the part of the wcId before the first "-" changes that:

decline, ignore, scan, nested: a person who says no, or nothing; the platform wants a QR scan, said plainly or nested
unauthorized, busy: HTTP 401 or 503, and no prompt
error, reset, hang, garbage, empty, huge, half, redirect: a prompt, and no proper reply

GET /stats tells how many prompts were open at once, GET /prompts lists them.`,
	}, s.run, &s)
}

// run serves until ctx ends.
func (g *simulationSettings) run(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
	listener, err := httpserver.Listen(ctx, g.Addr)
	if err != nil {
		return fmt.Errorf("flag --addr: %w", err)
	}
	g.Options.Seed = rand.Uint64()
	simulated := gatewaytest.New(g.Options)
	defer context.AfterFunc(ctx, simulated.Close)() // callers wait for minutes: they are cut off
	log.Info("simulated gateway listens", "url", fmt.Sprintf("http://%s", listener.Addr()))
	err = httpserver.Serve(ctx, listener, &http.Server{Handler: simulated})
	simulated.Close()
	stats := simulated.Stats()
	log.Info("simulated gateway stopped", "prompts", stats.Prompts, "accounts", stats.Accounts,
		"mostOpenAtOnce", stats.MaxOpen, "mostOpenForOneAccount", stats.MaxOpenPerAccount)
	return err
}
