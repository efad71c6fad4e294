// Package pod wires a worker to its servers and runs it: NATS, Redis, the gateway, health and
// metrics.
package pod

import (
	"context"
	"log/slog"
	"slices"
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

// Pod is a worker and what it stands on. Everything is made in Start and ended in Close.
type Pod struct {
	s        *Settings
	log      *slog.Logger
	registry *prometheus.Registry

	NATS    *nats.Conn
	queue   *queue.Queue
	cache   *cache.Client
	gateway *gateway.Client
	pauses  *queue.PauseWatch
	worker  *worker.Worker

	connected atomic.Bool // the fields above are set
	ends      []func()    // of what Close has to end, in the order in which it was made
}

// Start returns a pod that is connected to its servers. It blocks while one can't be reached.
// Where --http-addr says so, health and metrics are served from the beginning until Close. An
// embedded Redis is one that lives and dies with this process: it has no quarantine.
func Start(ctx context.Context, s *Settings, log *slog.Logger, embedded bool) (*Pod, error) {
	p := &Pod{s: s, log: log, registry: prometheus.NewRegistry()}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	err := p.serveMonitor(ctx)
	if err == nil {
		err = p.connect(ctx, embedded)
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// connect makes the connections, in the order in which they are needed.
func (p *Pod) connect(ctx context.Context, embedded bool) (err error) {
	s := p.s
	gatewayOptions := s.Gateway.Options
	gatewayOptions.MaxConns, gatewayOptions.Logger = s.Pipeline.Concurrency, p.log
	if p.gateway, err = gateway.New(gatewayOptions); err != nil {
		return settings.UsageError{Err: err}
	}
	p.ends = append(p.ends, p.gateway.Close)
	if err := p.openQueue(ctx); err != nil {
		return err
	}
	options := s.Pipeline.Options
	options.Protect, options.Logger, options.Metrics = s.Output.Protect, p.log, worker.NewMetrics(p.registry)
	options.DedupWindow = s.Streams.DuplicateWindow / 2
	cacheOptions := cache.Options{
		URL: s.Redis.URL, SentinelMaster: s.Redis.SentinelMaster, Namespace: s.NATS.Namespace, Pod: s.Pipeline.Pod,
		SendWindow: s.Pipeline.SendWindow, ConfirmTimeout: s.Pipeline.ConfirmTimeout, MinConfirmTime: s.Pipeline.MinConfirmTime,
		JobMemory: s.Streams.JobMemory, EventMaxAge: s.Streams.EventMaxAge,
		DailyPrompts: s.Pipeline.DailyPrompts, GatewayRate: s.Pipeline.GatewayRate, Logger: p.log,
	}
	if !embedded {
		incarnations, err := queue.OpenIncarnationStore(ctx, p.NATS, s.NATS.Namespace)
		if err != nil {
			return err
		}
		if err := incarnations.Register(ctx, cacheOptions.Lease()); err != nil {
			return err
		}
		p.inBackground(ctx, func(ctx context.Context) { incarnations.Run(ctx, p.log) }) // the other pods know of the lease until Close
		options.Refusals, cacheOptions.Incarnations = incarnations, incarnations
	}
	if p.pauses, err = queue.WatchPauses(ctx, p.NATS, s.NATS.Namespace, p.log); err != nil {
		return err
	}
	p.inBackground(ctx, p.pauses.Run)
	options.Pauses = p.pauses
	if p.cache, err = backend.OpenRedis(ctx, cacheOptions); err != nil {
		return err
	}
	p.ends = append(p.ends, func() {
		if err := p.cache.Close(); err != nil {
			p.log.Warn("closing the connections to redis failed", "error", err)
		}
	})
	if p.worker, err = worker.New(p.queue, p.cache, p.gateway, options); err != nil {
		return err
	}
	p.registry.MustRegister(podCollector{p})
	p.connected.Store(true)
	p.inBackground(ctx, p.gateway.Run) // it reads credentials again when their files change
	return p.serveState(ctx)
}

// openQueue connects to NATS, and sets the queue up unless it must not.
func (p *Pod) openQueue(ctx context.Context) (err error) {
	s := p.s
	if p.NATS, err = s.NATS.Connect(ctx, "relogin worker "+s.Pipeline.Pod, p.log); err != nil {
		return err
	}
	p.ends = append(p.ends, func() {
		_ = p.NATS.FlushTimeout(2 * time.Second) // what was published is on its way; a job that is not settled comes back
		p.NATS.Close()
	})
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
	p.ends = append(p.ends, p.queue.Close)
	return nil
}

// inBackground runs do until Close.
func (p *Pod) inBackground(ctx context.Context, do func(context.Context)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { do(ctx) })
	p.ends = append(p.ends, func() { stop(); running.Wait() })
}

// Work takes jobs until ctx ends and the worker has stopped.
func (p *Pod) Work(ctx context.Context) error { return p.worker.Run(ctx) }

// Run connects a pod to its servers, and runs it until ctx ends and it has stopped.
func Run(ctx context.Context, s *Settings, log *slog.Logger) error {
	p, err := Start(ctx, s, log, false)
	if err != nil && ctx.Err() != nil {
		return nil // stopped while it waited for a server
	} else if err != nil {
		return err
	}
	defer p.Close()
	log.Info("worker ready", "pod", s.Pipeline.Pod, "namespace", s.NATS.Namespace,
		"concurrency", s.Pipeline.Concurrency, "lease", p.cache.Lease(), "gateways", p.gateway.Addresses())
	err = p.Work(ctx)
	log.Info("worker stopped")
	return err
}

// Close ends what Start has made, the last first.
func (p *Pod) Close() {
	for _, end := range slices.Backward(p.ends) {
		end()
	}
}
