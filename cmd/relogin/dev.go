package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

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

With --gateway-url it works against a real gateway: it submits no samples then.`,
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
		log := a.logger(settings, s.Log)
		d := &dev{app: a, s: &s, log: log, printer: a.printer(outputText), simulate: !settings.isSet("gateway-url") && !settings.isSet("tenants-file")}
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

func (d *dev) introduce() {
	fmt.Fprintf(d.stdout, "NATS     %s\nRedis    %s (embedded)\nGateway  %s\n", d.servers.natsURL(), d.servers.redisURL(), d.s.Gateway.URL)
	if !d.simulate {
		fmt.Fprintf(d.stdout, "The embedded Redis forgets at the end whose phone is asking: wait %v before you start again.\n", d.s.Pipeline.ConfirmTimeout)
	}
	if !d.s.Once {
		fmt.Fprintf(d.stdout, `
From another terminal:
  relogin submit%[1]s --wait confirm-me decline-me
  relogin watch%[1]s --since 1h
  nats%[2]s pub relogin.jobs.urgent '{"wcId":"by-hand"}'
`, d.flag("--nats-url"), d.flag("-s"))
	}
	fmt.Fprintln(d.stdout)
}

// flag is what other commands need to find the server: nothing where it has its usual port.
func (d *dev) flag(name string) string {
	if url := d.servers.natsURL(); url != "nats://127.0.0.1:4222" {
		return " " + name + " " + url
	}
	return ""
}

// show prints the events while the samples run, and after that until ctx ends, unless
// it was to be once.
func (d *dev) show(ctx context.Context, p *pod) error {
	d.ended, d.news = map[string]*worker.Event{}, make(chan struct{}, 1)
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
		if err := d.sample(ctx, p); err != nil {
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

// see prints one event and remembers it.
func (d *dev) see(e *worker.Event) error {
	if err := d.printer.event(e); err != nil {
		return fmt.Errorf("print event: %w", err)
	}
	d.mu.Lock()
	d.ended[e.JobID] = e
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
	return nil
}

// await blocks until the jobs have ended.
func (d *dev) await(ctx context.Context, jobs ...string) error {
	for {
		var missing []string
		d.mu.Lock()
		for _, id := range jobs {
			if d.ended[id] == nil {
				missing = append(missing, id)
			}
		}
		d.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-d.news:
		case <-time.After(time.Minute):
			return fmt.Errorf("no event came for a minute; these jobs have none: %s", strings.Join(missing, ", "))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dataDir returns the directory of the queue, and how to remove it if it is temporary.
func dataDir(dir string) (string, func(), error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("make data directory: %w", err)
		}
		return dir, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "relogin-dev")
	if err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil // the system cleans up what is left
}
