package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// workerSettings are all that a pod is told.
type workerSettings struct {
	NATS     natsSettings
	Streams  streamSettings
	Redis    redisSettings
	Gateway  gatewaySettings
	Pipeline pipelineSettings
	Output   outputSettings
	Log      logSettings
	Setup    setupSwitch
}

// setupSwitch is whether a worker sets up the queue.
type setupSwitch struct{ Off bool }

func (o *setupSwitch) declare(s *settings) {
	s.titled("Streams")
	s.add("no-setup", toggle(&o.Off), "false", "create no streams and consumers, only check them: relogin setup creates them")
}

func (*setupSwitch) check(*settings) {}

func newWorkerCommand(a *app) *cobra.Command {
	var s workerSettings
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "take jobs until SIGTERM or SIGINT",
		Long: `Takes jobs, asks the gateway to confirm each account's login on its phone under the account's lock, and publishes one event for each job. Start as many as you like.

SIGTERM or SIGINT stops it cleanly: it takes no more jobs, hands back those that only wait, and lets open confirmations finish within the grace. A second signal stops it at once. Nothing is lost either way.`,
		Args: noArguments,
	}
	settings := a.declare(cmd, &s.NATS, &s.Streams, &s.Setup, &s.Redis, &s.Gateway, &s.Pipeline, &s.Output, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := a.logger(settings, s.Log)
		defer exitOnSecondSignal(log)()
		giveGCRoom()
		return runPod(cmd.Context(), &s, log)
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

// runPod connects a pod to its servers, and runs it until ctx ends and it has stopped.
func runPod(ctx context.Context, s *workerSettings, log *slog.Logger) error {
	p := newPod(s, log)
	if err := p.watchMonitor(ctx); err != nil {
		return err
	}
	defer p.close()
	if err := p.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it waited for a server
		}
		return err
	}
	log.Info("worker ready", "pod", s.Pipeline.Pod, "namespace", s.NATS.Namespace,
		"concurrency", s.Pipeline.Concurrency, "lease", p.cache.Lease(), "gateways", p.gateway.Addresses())
	err := p.worker.Run(ctx)
	log.Info("worker stopped")
	return err
}
