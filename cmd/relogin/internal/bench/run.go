// Package bench measures a worker on real NATS and Redis servers, with a simulated gateway.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

const (
	podName        = "bench"
	serverPatience = time.Minute // without an event, beyond what people take
	sendWindow     = 2 * time.Second
	confirmMargin  = 20 * time.Second // from when people answer to the confirm time-out
	jobMemory      = time.Minute
	tidyTimeout    = 30 * time.Second // for removing what is in one of the servers
)

// Options are what [Run] needs.
type Options struct {
	Settings *Settings
	Declared *settings.Settings // those settings as they were read: the worker is told them too
	Environ  []string           // in the form of [os.Environ]
	Version  string
	Stderr   io.Writer // gets the progress, and what the worker prints beside its log
	Printer  *output.Printer
	Logger   *slog.Logger
}

// Run blocks until all is measured and printed, or failed, and what the run has created
// is removed. Losing the terminal counts as an interruption.
func Run(ctx context.Context, o Options) error { return newBench(o).run(ctx) }

// bench is one run.
type bench struct {
	*Settings
	declared *settings.Settings
	environ  []string
	version  string
	stderr   io.Writer
	printer  *output.Printer
	log      *slog.Logger

	load    load
	nats    *nats.Conn
	gateway *gatewaytest.Server
	claimed bool // the namespace is the run's alone
}

func newBench(o Options) *bench {
	return &bench{
		Settings: o.Settings, declared: o.Declared, environ: o.Environ, version: o.Version,
		stderr: o.Stderr, printer: o.Printer, log: o.Logger, load: newLoad(&o.Settings.Load),
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	if b.NATS.Namespace == "" {
		b.NATS.Namespace = "bench-" + b.load.run
	}
	fmt.Fprintf(b.stderr, "namespace %s on %s and %s\n", b.NATS.Namespace, b.natsName(), settings.RedactURL(b.Redis.URL))
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
	return settings.RedactURL(b.NATS.Options.URL)
}

// confirmTimeout is the worker's.
func (b *bench) confirmTimeout() time.Duration { return b.Load.ConfirmAfter + confirmMargin }

// streams are what the run creates, and so for how long it could leave anything behind.
func (b *bench) streams() *backend.Streams {
	age := 10*time.Minute + 2*b.confirmTimeout() // more than a lease
	return &backend.Streams{
		Replicas: b.Load.Replicas, AckWait: 30 * time.Second, EventMaxAge: age, DeadMaxAge: age, JobMemory: jobMemory,
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
	f.describe(b.NATS.Namespace, b.version, &b.Load)
	return errors.Join(f.print(b.printer), f.defects())
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
