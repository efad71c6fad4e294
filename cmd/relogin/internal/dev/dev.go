// Package dev runs everything in one process: an embedded NATS server, an embedded Redis, a
// simulated gateway with phones, a worker and sample jobs.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

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

// Options are what [Run] needs.
type Options struct {
	Settings *Settings
	Simulate bool // run a simulated gateway, and submit samples to it
	Stdout   io.Writer
	Printer  *output.Printer // prints text on Stdout
	Logger   *slog.Logger
}

// dev is everything in one process.
type dev struct {
	Options
	gateway *gatewaytest.Gateway // nil: a real one is used

	events chan *job.Event       // those that are to be shown
	staged map[string]sample     // by job id
	ended  map[string]*job.Event // those that were shown, by job id
}

// Run runs everything in this process until ctx ends or, where the settings say so, the
// samples have ended.
func Run(ctx context.Context, o Options) error {
	d := &dev{Options: o, events: make(chan *job.Event), staged: map[string]sample{}, ended: map[string]*job.Event{}}
	s := o.Settings
	dir, cleanUp, err := dataDir(s.DataDir)
	if err != nil {
		return err
	}
	defer cleanUp()
	var end func()
	if s.NATS.Options.URL, end, err = startNATS(filepath.Join(dir, "nats")); err != nil {
		return err
	}
	defer end()
	if s.Redis.URL, end, err = startRedis(); err != nil {
		return err
	}
	defer end()
	if o.Simulate {
		if end, err = d.startGateway(ctx, dir); err != nil {
			return err
		}
		defer end()
	}
	s.NATS.Namespace, s.Streams.Replicas = "relogin", 1
	return d.work(ctx)
}

// work runs the worker, and shows what it does.
func (d *dev) work(ctx context.Context) error {
	p, err := pod.Start(ctx, &d.Settings.Settings, d.Logger, true)
	if err != nil {
		return err
	}
	defer p.Close()
	d.introduce()
	defer background(func(ctx context.Context) {
		if err := p.Work(ctx); err != nil {
			d.Logger.Error("the worker ended", "error", err)
		}
	})()
	return d.show(ctx, p.NATS)
}

// show shows the events while the samples run, and after that until ctx ends, unless it was
// to be once.
func (d *dev) show(ctx context.Context, nc *nats.Conn) error {
	ctx, stop := context.WithCancelCause(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop(nil)
	ready := make(chan struct{})
	following.Go(func() {
		o := queue.FollowOptions{Namespace: "relogin", Ready: func() { close(ready) }, Logger: d.Logger}
		stop(queue.Follow(ctx, nc, o, func(e *job.Event) error {
			select {
			case d.events <- e:
			case <-ctx.Done():
			}
			return context.Cause(ctx)
		}))
	})
	select {
	case <-ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.Simulate {
		if err := d.sample(ctx, nc); err != nil || d.Settings.Once {
			return err
		}
	}
	fmt.Fprintln(d.Stdout, "\nGoing on until Ctrl-C.")
	for {
		select {
		case e := <-d.events:
			if err := d.see(e); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
	}
}
