// Package dev runs everything in one process: an embedded NATS server, an embedded Redis, a
// simulated gateway with phones, a worker, the web console and sample jobs.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// Settings are those of the worker, and what the samples are. Those of NATS and Redis are
// filled in by [Run].
type Settings struct {
	pod.Settings
	Once    bool   // end after the samples
	Jobs    int    // further samples
	DataDir string // of the queue; empty: a temporary one
}

// Presets are the defaults of the worker's settings in dev mode, by their names.
var Presets = map[string]string{
	"confirm-timeout": "6s", "min-confirm-time": "1s", "cooldown": "30s", "ack-wait": "5s", "log-level": "warn", "pod": "dev",
}

const (
	patience = time.Minute // with the worker, for the next sample's event
	goingOn  = "\nGoing on until Ctrl-C.\n"
)

// Options are what [Run] needs.
type Options struct {
	Settings *Settings
	Simulate bool // run a simulated gateway, and submit samples to it
	Stdout   io.Writer
	Printer  *output.Printer // prints text on Stdout
	Logger   *slog.Logger
}

var (
	errAllEnded = errors.New("all samples have ended") // ends following events
	errQuiet    = errors.New("no event came for a minute")
)

// dev is everything in one process.
type dev struct {
	Options
	gateway *gatewaytest.Gateway // nil for a real one
	nats    *nats.Conn
	console string // its URL; empty: there is none

	samples          []sample            // none for a real gateway
	pending          map[string]sample   // those without an event, by job id
	outcomes         map[job.Outcome]int // of the events that were shown
	shared, expected int                 // events: of jobs that share a tap, and of samples that ended as they were to
}

// Run runs everything in this process until ctx ends or, where the settings say so, the
// samples have ended.
func Run(ctx context.Context, o Options) error {
	d := &dev{Options: o, pending: map[string]sample{}, outcomes: map[job.Outcome]int{}}
	dir, cleanUp, err := dataDir(o.Settings.DataDir)
	if err != nil {
		return err
	}
	defer cleanUp()
	for _, start := range []func(context.Context, string) (end func(), err error){d.startNATS, d.startRedis, d.startGateway} {
		end, err := start(ctx, dir)
		if err != nil {
			return err
		}
		defer end()
	}
	o.Settings.NATS.Namespace, o.Settings.Streams.Replicas = "relogin", 1
	p, err := pod.Start(ctx, &o.Settings.Settings, o.Logger, true)
	if err != nil {
		return err
	}
	defer p.Close()
	d.nats = p.NATS
	endConsole, err := d.startConsole(ctx)
	if err != nil {
		return err
	}
	defer endConsole()
	d.introduce()
	if o.Simulate {
		d.samples = samples(o.Settings.Jobs)
	}
	for _, s := range d.samples {
		d.pending[s.job.ID] = s
	}
	defer background(func(ctx context.Context) {
		if err := p.Work(ctx); err != nil {
			o.Logger.Error("the worker ended", "error", err)
		}
	})()
	return d.show(ctx)
}

// show submits the samples, and shows events until ctx ends or, if it is to be once, each
// sample has its own.
func (d *dev) show(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	quiet := time.AfterFunc(patience, func() { stop(errQuiet) })
	o := queue.FollowOptions{Namespace: "relogin", Logger: d.Logger, Ready: func() {
		quiet.Stop()
		if len(d.pending) == 0 {
			fmt.Fprint(d.Stdout, goingOn)
			return
		}
		d.announce()
		if err := d.submitAfter(ctx, ""); err != nil {
			stop(err)
		}
		quiet.Reset(patience)
	}}
	err := queue.Follow(ctx, d.nats, o, func(e *job.Event) error {
		quiet.Stop()
		err := d.see(ctx, e)
		if len(d.pending) > 0 {
			quiet.Reset(patience)
		}
		return err
	})
	switch {
	case errors.Is(err, errAllEnded), len(d.pending) == 0 && errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, errQuiet):
		return fmt.Errorf("%w; these jobs have none: %s", err, strings.Join(slices.Sorted(maps.Keys(d.pending)), ", "))
	}
	return err
}
