// Package bench measures a worker on real NATS and Redis servers, with a simulated gateway.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

const (
	patience      = time.Minute      // with servers, beyond what people take
	confirmMargin = 20 * time.Second // from when people answer to the confirm time-out
	jobMemory     = time.Minute
	removeTries   = 5
)

// Options are what [Run] needs.
type Options struct {
	Settings
	Declared *settings.Settings // those settings as they were read: the worker is told them too
	Environ  []string           // in the form of [os.Environ]
	Version  string
	Stderr   io.Writer // gets the progress, and what the worker prints beside its log
	Printer  *output.Printer
	Logger   *slog.Logger
}

// bench is one run.
type bench struct {
	Options
	namespace string // which nobody has had before
	nats      *nats.Conn
	redis     *cache.Client
	gateway   *gatewaytest.Server
	end       context.CancelCauseFunc // ends the measuring, with the reason
	quiet     *time.Timer             // ends it where nothing happens
}

// Run blocks until all is measured and printed, or failed, and what the run has created
// is removed. Losing the terminal counts as an interruption.
func Run(ctx context.Context, o Options) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	b := &bench{Options: o, namespace: fmt.Sprintf("relogin-bench-%08x", rand.Uint32())}
	server := settings.RedactURL(b.NATS.Options.URL)
	if name := b.NATS.Options.Context; name != "" {
		server = "the NATS server of context " + name
	}
	fmt.Fprintf(b.Stderr, "namespace %s on %s and %s\n", b.namespace, server, settings.RedactURL(b.Redis.URL))
	patient, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("given up after %s", settings.FormatDuration(patience)))
	defer cancel()
	if b.nats, err = b.NATS.Connect(patient, "relogin bench", b.Logger); err != nil {
		return err
	}
	defer b.nats.Close()
	b.redis, err = backend.OpenRedis(patient, cache.Options{
		URL: b.Redis.URL, SentinelMaster: b.Redis.SentinelMaster, Namespace: b.namespace, Pod: "bench",
		// It asks for no lock but the one that it tries, so its lease is the shortest there is.
		SendWindow: time.Millisecond, ConfirmTimeout: time.Millisecond, EventMaxAge: jobMemory, Logger: b.Logger,
	})
	if err != nil && strings.Contains(err.Error(), "NOPERM") {
		return fmt.Errorf("%w; for a run the user needs the keys relogin-bench-*, and the commands scan and unlink too", err)
	} else if err != nil {
		return err
	}
	defer b.redis.Close()
	b.gateway = gatewaytest.NewServer(gatewaytest.Options{
		ConfirmAfter: b.Load.ConfirmAfter, PromptLife: b.confirmTimeout(), KeepPrompts: 2 * b.Load.Jobs,
	})
	defer b.gateway.Close()
	defer func() { err = errors.Join(err, b.cleanUp(ctx)) }()
	return b.measure(ctx)
}

// confirmTimeout is the worker's.
func (b *bench) confirmTimeout() time.Duration { return b.Load.ConfirmAfter + confirmMargin }

// recordAge is for how long, at most, a run that is killed leaves locks and records in Redis.
func (b *bench) recordAge() time.Duration { return 10*time.Minute + 2*b.confirmTimeout() }

// measure does the run, and prints what it has shown.
func (b *bench) measure(ctx context.Context) error {
	ctx, b.end = context.WithCancelCause(ctx)
	defer b.end(nil)
	b.quiet = time.AfterFunc(patience, func() {
		b.end(fmt.Errorf("nothing happened for %s beyond what people take: see whether NATS and Redis work", settings.FormatDuration(patience)))
	})
	defer b.quiet.Stop()
	f := newFigures(&b.Load)
	b.withWorker(ctx, func(pid int) { f.IdleResidentBytes, _ = memory(pid) })
	if b.Load.Rate == 0 {
		b.publish(ctx, terminal.Progress(b.Stderr, b.Load.Jobs, "published"))
	}
	cpu := b.withWorker(ctx, func(pid int) {
		b.follow(ctx, f)
		_, f.PeakResidentBytes = memory(pid)
	})
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%w; %d of %d jobs had their event", err, f.ended, b.Load.Jobs)
	}
	f.Namespace, f.Version = b.namespace, b.Version
	f.finish(b.gateway.Prompts(), b.gateway.Stats(), cpu)
	return errors.Join(b.Printer.Print(f, "%s", f.table()), f.defects())
}

// alive notes that something has happened.
func (b *bench) alive() { b.quiet.Reset(patience + b.Load.ConfirmAfter + b.Load.interval()) }

// publish publishes the jobs in the normal lane.
func (b *bench) publish(ctx context.Context, shown *progressbar.ProgressBar) {
	publisher, err := queue.NewPublisher(b.nats, b.namespace)
	if err == nil { // the first one goes alone, to see that it may: it is one job still
		_, err = publisher.Publish(ctx, b.Load.job(0), job.Normal)
	}
	if err != nil {
		b.end(err)
		return
	}
	_ = publisher.PublishAll(ctx, job.Normal, b.Load.jobs(ctx), func(_ *job.Job, _ queue.Stored, err error) {
		if err != nil {
			b.end(err)
		}
		b.alive()
		_ = shown.Add(1)
	})
}

// follow blocks until each job has its event. With a rate it publishes the jobs meanwhile.
func (b *bench) follow(ctx context.Context, f *figures) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	if b.Load.Rate > 0 {
		publishing.Go(func() { b.publish(ctx, progressbar.DefaultSilent(1)) })
	}
	confirmed := terminal.Progress(b.Stderr, b.Load.Jobs, "confirmed")
	defer func() { _ = confirmed.Clear() }()
	all := queue.FollowOptions{Namespace: b.namespace, Since: time.Unix(0, 0), Logger: b.Logger}
	err := queue.FollowStored(ctx, b.nats, all, func(e *job.Event, stored time.Time) error {
		b.alive()
		_ = confirmed.Add(1)
		return f.see(e, stored)
	})
	if !errors.Is(err, errAllEnded) {
		b.end(err)
	}
}

// cleanUp removes all that is in the namespace, whether or not ctx has ended. The run's
// worker has stopped. It tries again for servers that are away for a moment.
func (b *bench) cleanUp(ctx context.Context) (err error) {
	if ctx.Err() != nil {
		fmt.Fprintln(b.Stderr, "interrupted: cleaning up")
	}
	ctx = context.WithoutCancel(ctx)
	for range removeTries {
		if err = errors.Join(b.redis.Clear(ctx), queue.Remove(ctx, b.nats, b.namespace)); err == nil {
			return nil
		}
		time.Sleep(time.Second)
	}
	return fmt.Errorf("some of the namespace is left: remove what is there of the streams %[1]s_JOBS, %[1]s_EVENTS, %[1]s_DEAD, %[1]s_AUDIT, KV_%[1]s_REDIS and KV_%[1]s_CONTROL (nats stream rm), "+
		"and of the keys %[2]s:*, which expire within %[3]s but for %[2]s:mark: %[4]w",
		strings.ToUpper(b.namespace), b.namespace, settings.FormatDuration(b.recordAge()), err)
}
