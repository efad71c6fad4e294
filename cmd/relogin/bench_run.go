package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
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

// connect gives up after a while, unlike commands that a script may start too early.
func (b *bench) connect(ctx context.Context) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, benchPatience, errUnreachable)
	defer cancel()
	return queue.Connect(ctx, b.NATS.connection("relogin bench", b.log))
}

var errUnreachable = fmt.Errorf("given up after %s", formatDuration(benchPatience))

// openCache connects to Redis, or gives up after a while. It asks for no locks, so its
// lease is the shortest there is. The caller closes what it returns.
func (b *bench) openCache(ctx context.Context, trust cache.Trust) (*cache.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, benchPatience, errUnreachable)
	defer cancel()
	log := b.log
	if trust != nil {
		log = slog.New(slog.DiscardHandler) // that the nodes of a Cluster are new is no loss here
	}
	client, err := cache.Open(ctx, cache.Options{
		URL: b.Redis.URL, SentinelMaster: b.Redis.SentinelMaster, Namespace: b.NATS.Namespace, Pod: benchPod,
		SendWindow: time.Millisecond, ConfirmTimeout: time.Millisecond,
		JobMemory: benchJobMemory, EventMaxAge: b.streams().EventMaxAge, Trust: trust, Logger: log,
	})
	if err != nil && strings.Contains(err.Error(), "NOPERM") {
		return nil, fmt.Errorf("%w; the user needs the keys %s:* and what a worker's user may do; with --namespace the run uses keys that it has", err, b.NATS.Namespace)
	}
	return client, err
}

// probe sees, before anything is created, that Redis works and is not used under this
// namespace.
func (b *bench) probe(ctx context.Context) error {
	client, err := b.openCache(ctx, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	used, err := client.Marked(ctx)
	if err == nil && used {
		err = fmt.Errorf("workers have used Redis as namespace %[1]s: choose another one; if none does so any more, delete the key %[1]s:mark", b.NATS.Namespace)
	}
	return err
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

// claim creates the streams, and has every Redis server admitted that workers will use.
func (b *bench) claim(ctx context.Context) error {
	config := b.streams().config(b.NATS.Namespace, b.log)
	err := queue.Claim(ctx, b.nats, config, b.load.run)
	switch {
	case errors.Is(err, queue.ErrTaken):
		return fmt.Errorf("%w: nothing was touched; choose another --namespace, or none", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w; with --namespace the run uses names that the user may use", err)
	case err != nil:
		return err
	}
	b.claimed = true
	trust, err := queue.OpenTrust(ctx, b.nats, b.NATS.Namespace, b.Load.Replicas)
	if err != nil {
		return err
	}
	client, err := b.openCache(ctx, trust)
	if err != nil {
		return err
	}
	defer client.Close()
	return b.awaitTrust(ctx, client)
}

// awaitTrust waits, in a Cluster, until the locks of each node count: those of the first
// one do at once, the others' after the client's lease. Nodes are met by their accounts.
func (b *bench) awaitTrust(ctx context.Context, client *cache.Client) error {
	met := 0
	for j := range b.load.jobs() {
		if _, err := client.Excused(ctx, j.WcID, j.ID); err != nil {
			return err
		}
		if met++; met == 200 {
			break
		}
	}
	select {
	case <-time.After(client.Stats().SuspendedFor):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
