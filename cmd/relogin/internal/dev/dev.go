// Package dev runs everything in one process: an embedded NATS server, an embedded Redis, a
// simulated gateway with phones, a worker and sample jobs.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
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

// Run runs everything in this process until ctx ends or, where the settings say so, the
// samples have ended.
func Run(ctx context.Context, o Options) error {
	d := &dev{s: o.Settings, log: o.Logger, simulate: o.Simulate, stdout: o.Stdout, printer: o.Printer}
	return d.run(ctx)
}

// dev is everything in one process.
type dev struct {
	s        *Settings
	log      *slog.Logger
	simulate bool // the gateway

	stdout  io.Writer
	printer *output.Printer
	servers *embedded
	mu      sync.Mutex
	staged  map[string]sample        // by job id
	ended   map[string]*worker.Event // by job id
	news    chan struct{}            // holds one: ended has grown
}

func (d *dev) run(ctx context.Context) error {
	dir, cleanUp, err := dataDir(d.s.DataDir)
	if err != nil {
		return err
	}
	defer cleanUp()
	if d.servers, err = startEmbedded(dir, d.simulate); err != nil {
		return err
	}
	defer d.servers.close()
	if err := d.fitSettings(dir); err != nil {
		return err
	}
	p := pod.New(&d.s.Settings, d.log, true)
	if err := p.ServeMonitor(ctx); err != nil {
		return err
	}
	defer p.Close()
	if err := p.Connect(ctx); err != nil {
		return err
	}
	d.introduce()

	work, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Work(work); err != nil {
			d.log.Error("the worker ended", "error", err)
		}
	})
	defer running.Wait()
	defer stop()
	return d.show(ctx, p)
}

// fitSettings points the worker to the embedded servers.
func (d *dev) fitSettings(dir string) error {
	s := d.s
	s.NATS.Options.URL, s.NATS.Namespace = d.servers.natsURL(), "relogin"
	s.Redis.URL = d.servers.redisURL()
	s.Streams.Replicas = 1
	if !d.simulate {
		return nil
	}
	s.Gateway.URL = d.servers.gatewayURL
	s.Gateway.TenantsFile = filepath.Join(dir, "tenants.yaml")
	tenants := fmt.Sprintf("expired:\n  url: %s\n  authorization: a credential that has expired\n", d.servers.gatewayURL)
	if err := os.WriteFile(s.Gateway.TenantsFile, []byte(tenants), 0o600); err != nil {
		return fmt.Errorf("write tenants file: %w", err)
	}
	return nil
}

// show prints the events while the samples run, and after that until ctx ends, unless
// it was to be once.
func (d *dev) show(ctx context.Context, p *pod.Pod) error {
	d.ended, d.staged, d.news = map[string]*worker.Event{}, map[string]sample{}, make(chan struct{}, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan struct{})
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	following.Go(func() {
		err := queue.Follow(ctx, p.NATS, queue.FollowOptions{
			Namespace: "relogin", Ready: func() { close(ready) }, Logger: d.log,
		}, d.see)
		if ctx.Err() == nil {
			cancel(err)
		}
	})
	select {
	case <-ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.simulate {
		if err := d.sample(ctx, p.NATS); err != nil {
			return err
		}
	}
	if !d.s.Once {
		fmt.Fprintln(d.stdout, "\nGoing on until Ctrl-C.")
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}
