package pod

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
)

// ServeMonitor serves health and metrics until Close, where --http-addr says so. It is called
// before Connect, and does not block.
func (p *Pod) ServeMonitor(ctx context.Context) error {
	if p.s.Output.HTTPAddr == "" {
		return nil
	}
	listener, err := httpserver.Listen(ctx, p.s.Output.HTTPAddr)
	if err != nil {
		return fmt.Errorf("flag --http-addr: %w", err)
	}
	p.log.Info("serving health and metrics", "addr", listener.Addr().String())
	stopping := ctx
	m := &httpserver.Monitor{
		Ready:   func(ctx context.Context) []httpserver.Readiness { return p.ready(ctx, stopping) },
		Metrics: p.registry, Log: p.log,
	}
	p.inBackground(ctx, func(ctx context.Context) {
		if err := m.Serve(ctx, listener); err != nil {
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
