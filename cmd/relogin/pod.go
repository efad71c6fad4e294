package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway"
)

// pod is a worker and what it stands on. Everything is made in connect and ended in close.
type pod struct {
	s        *workerSettings
	log      *slog.Logger
	registry *prometheus.Registry

	nats    *nats.Conn
	queue   *queue.Queue
	cache   *cache.Client
	gateway *gateway.Client
	worker  *worker.Worker

	connected atomic.Bool // the fields above are set
	running   sync.WaitGroup
	stop      context.CancelFunc
	untrusted bool // Redis has no quarantine: it lives and dies with this process
}

func newPod(s *workerSettings, log *slog.Logger) *pod {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &pod{s: s, log: log, registry: registry, stop: func() {}}
}

// connect makes the connections, in the order in which they are needed. It blocks
// while a server can't be reached.
func (p *pod) connect(ctx context.Context) (err error) {
	s := p.s
	p.gateway, err = gateway.New(gateway.Options{
		URL: s.Gateway.URL, Authorization: s.Gateway.Authorization, AuthorizationFile: s.Gateway.AuthorizationFile,
		TenantsFile: s.Gateway.TenantsFile, Reconcile: s.Gateway.Reconcile, MaxConns: s.Pipeline.Concurrency, Logger: p.log,
	})
	if err != nil {
		return usageError{err}
	}
	if p.nats, err = s.NATS.connect(ctx, "relogin worker "+s.Pipeline.Pod, p.log); err != nil {
		return err
	}
	config := s.Streams.config(s.NATS.Namespace, p.log)
	config.EventEncoding = s.Output.EventEncoding
	if !s.Setup.Off {
		if err := queue.Setup(ctx, p.nats, config); err != nil {
			return err
		}
	}
	if p.queue, err = queue.Open(ctx, p.nats, config); err != nil {
		return err
	}
	options := p.workerOptions()
	var trust *queue.Trust
	if !p.untrusted {
		if trust, err = queue.OpenTrust(ctx, p.nats, s.NATS.Namespace, s.Streams.Replicas); err != nil {
			return err
		}
		options.Pauses = trust
	}
	if p.cache, err = p.openCache(ctx, trust); err != nil {
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

// openCache connects to Redis. Without trust every Redis server is trusted.
func (p *pod) openCache(ctx context.Context, trust *queue.Trust) (*cache.Client, error) {
	s := p.s
	options := cache.Options{
		URL: s.Redis.URL, SentinelMaster: s.Redis.SentinelMaster, Namespace: s.NATS.Namespace, Pod: s.Pipeline.Pod,
		SendWindow: s.Pipeline.SendWindow, ConfirmTimeout: s.Pipeline.ConfirmTimeout, MinConfirmTime: s.Pipeline.MinConfirmTime,
		JobMemory: s.Streams.JobMemory, EventMaxAge: s.Streams.EventMaxAge,
		DailyPrompts: s.Pipeline.DailyPrompts, GatewayRate: s.Pipeline.GatewayRate, Logger: p.log,
	}
	if trust != nil {
		if err := p.register(ctx, trust, options.Lease()); err != nil {
			return nil, err
		}
		options.Trust = trust
	}
	return openRedis(ctx, options)
}

// register has the other pods know of this one's lease, until close.
func (p *pod) register(ctx context.Context, trust *queue.Trust, lease time.Duration) error {
	if err := trust.Register(ctx, lease); err != nil {
		return err
	}
	ctx = p.untilClose(ctx)
	p.running.Go(func() { trust.Run(ctx, p.log) })
	return nil
}

// untilClose returns a context that ends with close.
func (p *pod) untilClose(ctx context.Context) context.Context {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	before := p.stop
	p.stop = func() { stop(); before() }
	return ctx
}

func (p *pod) workerOptions() worker.Options {
	s := p.s.Pipeline
	return worker.Options{
		Pod: s.Pod, Concurrency: s.Concurrency, MaxParked: s.MaxParked, MaxDeliveries: s.MaxDeliveries,
		SendWindow: s.SendWindow, ConfirmTimeout: s.ConfirmTimeout, Cooldown: s.Cooldown, ShutdownGrace: s.ShutdownGrace,
		Protect: protector(p.s.Output), Logger: p.log, Metrics: worker.NewMetrics(p.registry),
	}
}

// watchFiles reads credentials again when their files change, until close.
func (p *pod) watchFiles(ctx context.Context) {
	ctx = p.untilClose(ctx)
	p.running.Go(func() {
		if err := p.gateway.Run(ctx); err != nil {
			p.log.Error("watching the credentials' files failed: restart this pod when they change", "error", err)
		}
	})
}

// watchMonitor serves health and metrics, from before the servers are connected until close.
func (p *pod) watchMonitor(ctx context.Context) error {
	if p.s.Output.HTTPAddr == "" {
		return nil
	}
	listener, err := listen(ctx, p.s.Output.HTTPAddr)
	if err != nil {
		return fmt.Errorf("flag --http-addr: %w", err)
	}
	p.log.Info("serving health and metrics", "addr", listener.Addr().String())
	stopping := ctx
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	m := &monitor{
		Ready:   func(ctx context.Context) []readiness { return p.ready(ctx, stopping) },
		Metrics: p.registry, Log: p.log,
	}
	p.running.Go(func() {
		if err := m.serve(ctx, listener); err != nil {
			p.log.Error("health and metrics are no longer served", "error", err)
		}
	})
	return nil
}

// ready tells whether the pod takes jobs, and if not, why.
func (p *pod) ready(ctx, stopping context.Context) []readiness {
	if stopping.Err() != nil {
		return []readiness{{Name: "worker", Err: errors.New("stopping")}}
	}
	if !p.connected.Load() {
		return []readiness{{Name: "worker", Err: errors.New("waiting for its servers: see the log")}}
	}
	all := []readiness{{Name: "nats"}, {Name: "redis", Err: p.cache.Ping(ctx)}, {Name: "locks"}, {Name: "gateway"}}
	if status := p.nats.Status(); status != nats.CONNECTED {
		all[0].Err = fmt.Errorf("connection is %v", status)
	}
	if d := p.cache.Stats().SuspendedFor; d > 0 {
		all[2].Err = fmt.Errorf("redis may have lost some or evict some, or others can't know of this pod's: no confirmation starts for %v: see the log", d.Round(time.Second))
	}
	all[3].Note, all[3].Err = p.gatewayState()
	return all
}

// gatewayState tells why no confirmation starts, or else what operators should know of
// the gateway.
func (p *pod) gatewayState() (note string, err error) {
	if d, last := p.worker.GatewayDown(); d > 0 {
		return "", fmt.Errorf("it fails, and is tried again in %v: %w", d.Round(time.Second), last)
	}
	paused, otherwise := p.worker.Paused()
	if len(paused) == 0 {
		return "", nil
	}
	var tenants []string
	for _, one := range paused {
		tenants = append(tenants, fmt.Sprintf("%s since %s (%v)", one.Tenant, one.Since.UTC().Format(time.RFC3339), one.Err))
	}
	note = "it refuses the credentials of " + strings.Join(tenants, ", ") + ": replace them"
	if !otherwise {
		return "", errors.New(note + "; it has accepted no other credential since")
	}
	return note, nil
}

// close ends what connect has made. What was published is on its way before the
// connection ends.
func (p *pod) close() {
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
	if p.nats != nil {
		_ = p.nats.FlushTimeout(2 * time.Second) // a job that is not settled comes back
		p.nats.Close()
	}
	if p.gateway != nil {
		p.gateway.Close()
	}
}
