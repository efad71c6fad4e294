package pod

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
)

// serveMonitor serves health and metrics until Close, where --http-addr says so. It does not block.
func (p *Pod) serveMonitor(ctx context.Context) error {
	if p.s.Output.HTTPAddr == "" {
		return nil
	}
	listener, err := httpserver.Listen(ctx, p.s.Output.HTTPAddr)
	if err != nil {
		return fmt.Errorf("flag --http-addr: %w", err)
	}
	p.log.Info("serving health and metrics", "addr", listener.Addr().String())
	stopping := ctx
	ready := func(ctx context.Context) []httpserver.Readiness { return p.ready(ctx, stopping) }
	p.inBackground(ctx, func(ctx context.Context) {
		if err := httpserver.Serve(ctx, listener, httpserver.Monitor(ready, p.registry, p.log)); err != nil {
			p.log.Error("health and metrics are no longer served", "error", err)
		}
	})
	return nil
}

// ready tells whether the pod takes jobs, and if not, why.
func (p *Pod) ready(ctx, stopping context.Context) []httpserver.Readiness {
	if stopping.Err() != nil {
		return []httpserver.Readiness{{Name: "worker", Err: errors.New("stopping")}}
	}
	if !p.connected.Load() {
		return []httpserver.Readiness{{Name: "worker", Err: errors.New("waiting for its servers: see the log")}}
	}
	all := []httpserver.Readiness{{Name: "nats"}, {Name: "redis", Err: p.cache.Ping(ctx)}, {Name: "locks"}, {Name: "gateway"}}
	if status := p.NATS.Status(); status != nats.CONNECTED {
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
func (p *Pod) gatewayState() (note string, err error) {
	if d, last := p.worker.GatewayDown(); d > 0 {
		return "", fmt.Errorf("it fails, and is tried again in %v: %w", d.Round(time.Second), last)
	}
	paused, otherwise := p.worker.RefusedTenants()
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

// podCollector reads what the pod's parts count.
type podCollector struct{ *Pod }

// Describe implements [prometheus.Collector]. It names no metric, so that the backlog may be
// left out.
func (podCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector]. It asks NATS for the backlog, for a second
// at most; without an answer that metric is left out.
func (c podCollector) Collect(out chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, value float64, name, help string, lane ...string) {
		desc := prometheus.NewDesc(name, help, []string{"lane"}[:len(lane)], nil)
		out <- prometheus.MustNewConstMetric(desc, kind, value, lane...)
	}
	stats := c.cache.Stats()
	send(prometheus.GaugeValue, stats.SuspendedFor.Seconds(), "relogin_quarantine_seconds", "How long no confirmation starts, because Redis may have lost locks; 0: none.")
	send(prometheus.CounterValue, float64(stats.Commands), "relogin_redis_scripts_total", "Scripts sent to Redis.")
	send(prometheus.CounterValue, float64(stats.Pipelines), "relogin_redis_pipelines_total", "Round trips that carried the scripts.")
	send(prometheus.CounterValue, float64(stats.Failed), "relogin_redis_scripts_failed_total", "Scripts that ended with an error.")
	send(prometheus.CounterValue, float64(stats.Dropped), "relogin_redis_tidyings_dropped_total", "Records that were not shrunk because the buffer was full; they expire later.")
	for scope, n := range c.pauses.Counts() {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("relogin_pauses", "What people have paused, by scope: all, lane, tenant, account.", []string{"scope"}, nil),
			prometheus.GaugeValue, float64(n), string(scope))
	}
	connected := 0.0
	if c.NATS.IsConnected() {
		connected = 1
	}
	send(prometheus.GaugeValue, connected, "relogin_nats_connected", "1 while the connection to NATS stands.")

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	backlog, _ := c.queue.Backlog(ctx)
	for lane, n := range backlog {
		send(prometheus.GaugeValue, float64(n), "relogin_backlog_jobs", "Jobs that the lane holds: waiting, delayed, and in the hands of all workers.", string(lane))
	}
}
