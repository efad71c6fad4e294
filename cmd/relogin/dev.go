package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

type devSettings struct {
	workerSettings
	Once    bool
	Jobs    int
	DataDir string
}

func newDevCommand(a *app) *cobra.Command {
	var s devSettings
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "everything in one process, nothing to install",
		Long: `Runs an embedded NATS server with JetStream, an embedded Redis-compatible server, a simulated gateway with phones, and a worker, on loopback. It submits sample jobs, one for each way in which a job can end, and shows the events as they arrive. Then it goes on, so that submit, watch and the nats command line work against it from another terminal.

With --gateway-url or --tenants-file it works against a real gateway: it submits no samples then.`,
		Args: noArguments,
	}
	flags := cmd.Flags()
	flags.BoolVar(&s.Once, "once", false, "end after the samples: exit status 0 when each job had its event")
	flags.IntVar(&s.Jobs, "jobs", 0, "further sample jobs, which all succeed, three to an account")
	flags.StringVar(&s.DataDir, "data-dir", "", "keep the queue in this directory; default: in a temporary one")
	settings := a.declare(cmd, &s.Gateway, &s.Pipeline, &s.Streams, &s.Output, &s.Log)
	for name, value := range map[string]string{
		"confirm-timeout": "6s", "min-confirm-time": "1s", "cooldown": "30s", "ack-wait": "5s", "log-level": "warn", "pod": "dev",
	} {
		settings.preset(name, value)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		simulate := !settings.isSet("gateway-url") && !settings.isSet("tenants-file")
		if !simulate && (s.Once || s.Jobs > 0) {
			return usageError{errors.New("--once and --jobs are about the samples, and a real gateway (--gateway-url or --tenants-file) gets none: leave them out, and send jobs with relogin submit")}
		}
		d := &dev{app: a, s: &s, log: a.logger(settings, s.Log), printer: a.printer(outputText), simulate: simulate}
		return d.run(cmd.Context())
	}
	return cmd
}

// dev is everything in one process.
type dev struct {
	*app
	s        *devSettings
	log      *slog.Logger
	simulate bool // the gateway

	printer *printer
	servers *devServers
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
	if d.servers, err = startDevServers(dir, d.simulate); err != nil {
		return err
	}
	defer d.servers.close()
	if err := d.fitSettings(dir); err != nil {
		return err
	}
	p := newPod(&d.s.workerSettings, d.log)
	p.untrusted = true
	if err := p.watchMonitor(ctx); err != nil {
		return err
	}
	defer p.close()
	if err := p.connect(ctx); err != nil {
		return err
	}
	d.introduce()

	work, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.worker.Run(work); err != nil {
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
func (d *dev) show(ctx context.Context, p *pod) error {
	d.ended, d.staged, d.news = map[string]*worker.Event{}, map[string]sample{}, make(chan struct{}, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan struct{})
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel(nil)
	following.Go(func() {
		err := queue.Follow(ctx, p.nats, queue.FollowOptions{
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
		if err := d.sample(ctx, p.nats); err != nil {
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
