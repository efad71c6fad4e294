// Package pod wires a worker to its servers and runs it: NATS, Redis, the gateway, health and
// metrics.
package pod

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway"
)

// Pod is a worker and what it stands on. Everything is made in Connect and ended in Close.
type Pod struct {
	s        *Settings
	log      *slog.Logger
	registry *prometheus.Registry

	NATS    *nats.Conn // set by Connect
	queue   *queue.Queue
	cache   *cache.Client
	gateway *gateway.Client
	worker  *worker.Worker

	connected atomic.Bool // the fields above are set
	running   sync.WaitGroup
	stop      context.CancelFunc
	embedded  bool // Redis lives and dies with this process, so it has no quarantine
}

// New returns a pod that is connected to nothing yet. An embedded Redis is one that lives and
// dies with this process: it is trusted at once.
func New(s *Settings, log *slog.Logger, embedded bool) *Pod {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Pod{s: s, log: log, registry: registry, embedded: embedded, stop: func() {}}
}

// Connect makes the connections, in the order in which they are needed. It blocks
// while a server can't be reached.
func (p *Pod) Connect(ctx context.Context) (err error) {
	s := p.s
	p.gateway, err = gateway.New(gateway.Options{
		URL: s.Gateway.URL, Authorization: s.Gateway.Authorization, AuthorizationFile: s.Gateway.AuthorizationFile,
		TenantsFile: s.Gateway.TenantsFile, Reconcile: s.Gateway.Reconcile, MaxConns: s.Pipeline.Concurrency, Logger: p.log,
	})
	if err != nil {
		return settings.UsageError{Err: err}
	}
	if p.NATS, err = s.NATS.Connect(ctx, "relogin worker "+s.Pipeline.Pod, p.log); err != nil {
		return err
	}
	config := s.Streams.Config(s.NATS.Namespace, p.log)
	config.EventEncoding = s.Output.EventEncoding
	if !s.Setup.Off {
		if err := queue.Setup(ctx, p.NATS, config); err != nil {
			return err
		}
	}
	if p.queue, err = queue.Open(ctx, p.NATS, config); err != nil {
		return err
	}
	options := p.workerOptions()
	var incarnations *queue.IncarnationStore
	if !p.embedded {
		if incarnations, err = queue.OpenIncarnationStore(ctx, p.NATS, s.NATS.Namespace); err != nil {
			return err
		}
		options.Pauses = incarnations
	}
	if p.cache, err = p.openCache(ctx, incarnations); err != nil {
		return err
	}
	options.DedupWindow = config.DuplicateWindow / 2
	if p.worker, err = worker.New(p.queue, p.cache, p.gateway, options); err != nil {
		return err
	}
	p.registry.MustRegister(podCollector{p})
	p.connected.Store(true)
	p.watchFiles(ctx)
	return nil
}

// openCache connects to Redis. Without incarnations every Redis server is trusted.
func (p *Pod) openCache(ctx context.Context, incarnations *queue.IncarnationStore) (*cache.Client, error) {
	s := p.s
	options := cache.Options{
		URL: s.Redis.URL, SentinelMaster: s.Redis.SentinelMaster, Namespace: s.NATS.Namespace, Pod: s.Pipeline.Pod,
		SendWindow: s.Pipeline.SendWindow, ConfirmTimeout: s.Pipeline.ConfirmTimeout, MinConfirmTime: s.Pipeline.MinConfirmTime,
		JobMemory: s.Streams.JobMemory, EventMaxAge: s.Streams.EventMaxAge,
		DailyPrompts: s.Pipeline.DailyPrompts, GatewayRate: s.Pipeline.GatewayRate, Logger: p.log,
	}
	if incarnations != nil {
		if err := p.register(ctx, incarnations, options.Lease()); err != nil {
			return nil, err
		}
		options.Incarnations = incarnations
	}
	return backend.OpenRedis(ctx, options)
}

// register has the other pods know of this one's lease, until Close.
func (p *Pod) register(ctx context.Context, incarnations *queue.IncarnationStore, lease time.Duration) error {
	if err := incarnations.Register(ctx, lease); err != nil {
		return err
	}
	ctx = p.untilClose(ctx)
	p.running.Go(func() { incarnations.Run(ctx, p.log) })
	return nil
}

// untilClose returns a context that ends with Close.
func (p *Pod) untilClose(ctx context.Context) context.Context {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	before := p.stop
	p.stop = func() { stop(); before() }
	return ctx
}

func (p *Pod) workerOptions() worker.Options {
	s := p.s.Pipeline
	return worker.Options{
		Pod: s.Pod, Concurrency: s.Concurrency, MaxParked: s.MaxParked, MaxDeliveries: s.MaxDeliveries,
		SendWindow: s.SendWindow, ConfirmTimeout: s.ConfirmTimeout, Cooldown: s.Cooldown, ShutdownGrace: s.ShutdownGrace,
		Protect: protector(p.s.Output), Logger: p.log, Metrics: worker.NewMetrics(p.registry),
	}
}

// watchFiles reads credentials again when their files change, until Close.
func (p *Pod) watchFiles(ctx context.Context) {
	ctx = p.untilClose(ctx)
	p.running.Go(func() { p.gateway.Run(ctx) })
}

// Work takes jobs until ctx ends and the worker has stopped. The pod is connected.
func (p *Pod) Work(ctx context.Context) error { return p.worker.Run(ctx) }

// Run connects a pod to its servers, and runs it until ctx ends and it has stopped.
func Run(ctx context.Context, s *Settings, log *slog.Logger) error {
	p := New(s, log, false)
	if err := p.ServeMonitor(ctx); err != nil {
		return err
	}
	defer p.Close()
	if err := p.Connect(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it waited for a server
		}
		return err
	}
	log.Info("worker ready", "pod", s.Pipeline.Pod, "namespace", s.NATS.Namespace,
		"concurrency", s.Pipeline.Concurrency, "lease", p.cache.Lease(), "gateways", p.gateway.Addresses())
	err := p.Work(ctx)
	log.Info("worker stopped")
	return err
}

// Close ends what Connect has made. What was published is on its way before the
// connection ends.
func (p *Pod) Close() {
	p.stop()
	p.running.Wait()
	if p.cache != nil {
		if err := p.cache.Close(); err != nil {
			p.log.Warn("closing the connections to redis failed", "error", err)
		}
	}
	if p.queue != nil {
		p.queue.Close()
	}
	if p.NATS != nil {
		_ = p.NATS.FlushTimeout(2 * time.Second) // a job that is not settled comes back
		p.NATS.Close()
	}
	if p.gateway != nil {
		p.gateway.Close()
	}
}
