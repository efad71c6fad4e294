//go:build linux

package faults

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// proxies stand between the workers and their servers.
type proxies struct {
	t   testing.TB
	api *toxiproxy.ApiServer
	all []*proxy
}

type proxy struct {
	*toxiproxy.Proxy
	service string // nats, redis, gateway
	worker  int
}

func newProxies(t testing.TB) *proxies {
	p := &proxies{t: t, api: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())}
	t.Cleanup(func() {
		for _, one := range p.all {
			one.Stop()
		}
	})
	return p
}

// add returns the address at which the worker reaches the server.
func (p *proxies) add(worker int, service, upstream string) string {
	name := fmt.Sprintf("%s-%d-%d", service, worker, len(p.all))
	one := &proxy{toxiproxy.NewProxy(p.api, name, "127.0.0.1:0", upstream), service, worker}
	if err := one.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.all = append(p.all, one)
	return one.Listen
}

// between returns the proxies of a service and a worker; -1 for all workers.
func (p *proxies) between(worker int, service string) (some []*proxy) {
	for _, one := range p.all {
		if one.service == service && (worker < 0 || one.worker == worker) {
			some = append(some, one)
		}
	}
	return some
}

// cut ends all connections; new ones are refused until restored.
func (p *proxy) cut() { p.Stop() }

func (p *proxy) restore() error { return p.Start() }

// toxics names each, so that two faults may hit the same connections.
var toxics atomic.Int64

// poison adds a toxic, as toxiproxy's API takes it.
func (p *proxy) poison(kind, stream, attributes string) error {
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":"%d","type":%q,"stream":%q,"attributes":%s}`, toxics.Add(1), kind, stream, attributes)))
	return err
}

func (p *proxy) heal() { p.Toxics.ResetToxics(context.Background()) }
