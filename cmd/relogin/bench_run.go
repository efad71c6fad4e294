package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

const (
	benchPod        = "bench"
	benchPatience   = time.Minute // without an event, beyond what people take
	benchSendWindow = 2 * time.Second
	benchMargin     = 20 * time.Second // from when people answer to the confirm time-out
	benchJobMemory  = time.Minute
	benchTidy       = 30 * time.Second // for removing what is in one of the servers
)

// bench is one run.
type bench struct {
	*app
	settings *settings
	Load     benchSettings
	NATS     natsSettings
	Redis    redisSettings
	Log      logSettings

	log     *slog.Logger
	load    load
	nats    *nats.Conn
	gateway *gatewaytest.Server
	claimed bool // the namespace is the run's alone
}

// run blocks until all is measured and printed, or failed, and what the run has created
// is removed. Losing the terminal counts as an interruption.
func (b *bench) run(ctx context.Context) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	b.log = b.logger(b.settings, b.Log)
	b.load = newLoad(&b.Load)
	if b.NATS.Namespace == "" {
		b.NATS.Namespace = "bench-" + b.load.run
	}
	fmt.Fprintf(b.stderr, "namespace %s on %s and %s\n", b.NATS.Namespace, b.natsName(), redactURL(b.Redis.URL))
	if b.nats, err = b.connect(ctx); err != nil {
		return err
	}
	defer b.nats.Close()
	if err := b.probe(ctx); err != nil {
		return err
	}
	b.gateway = gatewaytest.NewServer(gatewaytest.Options{
		ConfirmAfter: b.Load.ConfirmAfter, PromptLife: b.confirmTimeout(), KeepPrompts: 2 * b.Load.Jobs,
	})
	defer b.gateway.Close()
	defer func() { err = errors.Join(err, b.cleanUp(ctx)) }()
	return b.measure(ctx)
}

func (b *bench) natsName() string {
	if b.NATS.Options.Context != "" {
		return "the NATS server of context " + b.NATS.Options.Context
	}
	return redactURL(b.NATS.Options.URL)
}

// confirmTimeout is the worker's.
func (b *bench) confirmTimeout() time.Duration { return b.Load.ConfirmAfter + benchMargin }

// streams are what the run creates, and so for how long it could leave anything behind.
func (b *bench) streams() *streamSettings {
	age := 10*time.Minute + 2*b.confirmTimeout() // more than a lease
	return &streamSettings{
		Replicas: b.Load.Replicas, AckWait: 30 * time.Second, EventMaxAge: age, DeadMaxAge: age, JobMemory: benchJobMemory,
	}
}

// measure does the run, and prints what it has shown.
func (b *bench) measure(ctx context.Context) error {
	if err := b.claim(ctx); err != nil {
		return err
	}
	idle, err := b.rehearse(ctx)
	if err != nil {
		return err
	}
	t := newTally(b.load, b.progress("confirmed"))
	used, err := b.confirm(ctx, t)
	_ = t.progress.Clear()
	if err != nil {
		return fmt.Errorf("%w; %d of %d jobs had their event", err, t.ended, b.Load.Jobs)
	}
	used.idle = idle
	f := t.figures(b.gateway.Prompts(), b.gateway.Stats(), used)
	f.describe(b.NATS.Namespace, &b.Load)
	return errors.Join(f.print(b.printer(b.Load.Output)), f.defects())
}

// rehearse starts a worker that has nothing to do, and returns its memory.
func (b *bench) rehearse(ctx context.Context) (idle int64, err error) {
	w, err := b.startWorker()
	if err != nil {
		return 0, err
	}
	defer w.stop()
	if err := w.awaitReady(ctx); err != nil {
		return 0, err
	}
	idle, _ = residentBytes(w.cmd.Process.Pid)
	return idle, nil
}
