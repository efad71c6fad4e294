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
	stops     []context.CancelFunc // of what runs in the background
	embedded  bool                 // Redis lives and dies with this process, so it has no quarantine
}

// New returns a pod that is connected to nothing yet. An embedded Redis is one that lives and
// dies with this process: it is trusted at once.
func New(s *Settings, log *slog.Logger, embedded bool) *Pod {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Pod{s: s, log: log, registry: registry, embedded: embedded}
}

// Connect makes the connections, in the order in which they are needed. It blocks
// while a server can't be reached.
func (p *Pod) Connect(ctx context.Context) (err error) {
	s := p.s
	gatewayOptions := s.Gateway.Options
	gatewayOptions.MaxConns, gatewayOptions.Logger = s.Pipeline.Concurrency, p.log
	if p.gateway, err = gateway.New(gatewayOptions); err != nil {
		return settings.UsageError{Err: err}
	}
	if p.NATS, err = s.NATS.Connect(ctx, "relogin worker "+s.Pipeline.Pod, p.log); err != nil {
		return err
	}
	config := s.Streams.Config
	config.Namespace, config.EventEncoding, config.Logger = s.NATS.Namespace, s.Output.EventEncoding, p.log
	if !s.Setup.Off {
		if err := queue.Setup(ctx, p.NATS, config); err != nil {
			return err
		}
	}
	if p.queue, err = queue.Open(ctx, p.NATS, config); err != nil {
		return err
	}
	options := s.Pipeline.Options
	options.Protect, options.Logger, options.Metrics = s.Output.Protect, p.log, worker.NewMetrics(p.registry)
	options.DedupWindow = config.DuplicateWindow / 2
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
	if p.worker, err = worker.New(p.queue, p.cache, p.gateway, options); err != nil {
		return err
	}
	p.registry.MustRegister(podCollector{p})
	p.connected.Store(true)
	p.inBackground(ctx, p.gateway.Run) // it reads credentials again when their files change
	return nil
}

// openCache connects to Redis. The other pods know of this one's lease from then on, until
// Close. Without incarnations every Redis server is trusted.
func (p *Pod) openCache(ctx context.Context, incarnations *queue.IncarnationStore) (*cache.Client, error) {
	s := p.s
	options := cache.Options{
		URL: s.Redis.URL, SentinelMaster: s.Redis.SentinelMaster, Namespace: s.NATS.Namespace, Pod: s.Pipeline.Pod,
		SendWindow: s.Pipeline.SendWindow, ConfirmTimeout: s.Pipeline.ConfirmTimeout, MinConfirmTime: s.Pipeline.MinConfirmTime,
		JobMemory: s.Streams.JobMemory, EventMaxAge: s.Streams.EventMaxAge,
		DailyPrompts: s.Pipeline.DailyPrompts, GatewayRate: s.Pipeline.GatewayRate, Logger: p.log,
	}
	if incarnations != nil {
		if err := incarnations.Register(ctx, options.Lease()); err != nil {
			return nil, err
		}
		p.inBackground(ctx, func(ctx context.Context) { incarnations.Run(ctx, p.log) })
		options.Incarnations = incarnations
	}
	return backend.OpenRedis(ctx, options)
}

// inBackground runs do until Close.
func (p *Pod) inBackground(ctx context.Context, do func(context.Context)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stops = append(p.stops, stop)
	p.running.Go(func() { do(ctx) })
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
	for _, stop := range p.stops {
		stop()
	}
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
