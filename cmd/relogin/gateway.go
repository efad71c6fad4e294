package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// fakeGatewaySettings are about the simulated gateway and its phones. They are flags
// alone: nobody deploys it.
type fakeGatewaySettings struct {
	Addr    string
	Options gatewaytest.Options
}

func (g *fakeGatewaySettings) declare(s *settings) {
	s.titled("Simulation")
	o := &g.Options
	s.addFlag("addr", address(&g.Addr), "127.0.0.1:18081", "where to listen")
	s.addFlag("confirm-after", duration(&o.ConfirmAfter, 0, day), "2s", "how long people take to answer")
	s.addFlag("jitter", duration(&o.Jitter, 0, day), "0s", "up to so much longer")
	s.addFlag("prompt-life", duration(&o.PromptLife, time.Millisecond, day), "5m", "how long a prompt lives that nobody answers")
	s.addFlag("authorization", secret(&o.Authorization), "", "credential that callers must send; none: anything will do")
	s.addFlag("no-list", toggle(&o.NoList), "", "answer 404 when asked who is online")
}

func (*fakeGatewaySettings) check(*settings) {}

func newGatewayCommand(a *app) *cobra.Command {
	var s fakeGatewaySettings
	var log logSettings
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "run a simulated gateway with phones, to try things out",
		Long: `Runs a simulated gateway. Every account has a phone whose owner confirms; the part of the wcId before the first "-" changes that:

decline, ignore, scan, nested: a person who says no, or nothing; the platform wants a QR scan, said plainly or nested
unauthorized, busy: HTTP 401 or 503, and no prompt
error, reset, hang, garbage, empty, huge, half, redirect: a prompt, and no proper reply

GET /stats tells how many prompts were open at once, GET /prompts lists them.`,
		Args: noArguments,
	}
	settings := a.declare(cmd, &s, &log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runGateway(cmd.Context(), settings, s, log) }
	return cmd
}

// runGateway serves until ctx ends.
func (a *app) runGateway(ctx context.Context, settings *settings, s fakeGatewaySettings, l logSettings) error {
	log := a.logger(settings, l)
	listener, err := listen(ctx, s.Addr)
	if err != nil {
		return fmt.Errorf("flag --addr: %w", err)
	}
	s.Options.Seed = rand.Uint64()
	g := gatewaytest.New(s.Options)
	defer context.AfterFunc(ctx, g.Close)() // callers wait for minutes: they are cut off
	log.Info("simulated gateway listens", "url", fmt.Sprintf("http://%s", listener.Addr()))
	err = serve(ctx, listener, g)
	g.Close()
	stats := g.Stats()
	log.Info("simulated gateway stopped", "prompts", stats.Prompts, "accounts", stats.Accounts,
		"mostOpenAtOnce", stats.MaxOpen, "mostOpenForOneAccount", stats.MaxOpenPerAccount)
	return err
}
