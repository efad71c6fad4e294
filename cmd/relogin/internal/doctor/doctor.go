// Package doctor examines everything that workers stand on, and tells what is wrong, how bad it is
// and what to type.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway"
)

// Finding is what was examined, and what is wrong with it. Its names in JSON do not change.
type Finding struct {
	Level  cockpit.Level `json:"level"`            // ok, warning, or problem: it breaks a promise, or no job goes on
	Area   string        `json:"area"`             // nats, redis, gateway, pods
	Text   string        `json:"text"`             // what was found
	Remedy string        `json:"remedy,omitempty"` // what to type, or what else helps
}

// ErrUnwell is returned by [Run] when it has told of something that breaks a promise, or keeps jobs
// from going on.
var ErrUnwell = errors.New("something is wrong")

// Options are what [Run] needs.
type Options struct {
	Settings *pod.Settings
	NATS     *nats.Conn
	Redis    *cache.Inspector
	Log      *slog.Logger
	Printer  *output.Printer
}

// doctor is one examination.
type doctor struct {
	Options
	found []Finding
}

// Run examines everything, and prints what it finds as it goes. It blocks for some seconds, longer where
// a server does not answer.
func Run(ctx context.Context, o Options) error {
	d := &doctor{Options: o}
	for _, examine := range []func(context.Context){d.server, d.streams, d.permissions, d.redis, d.gateways, d.pods} {
		before := len(d.found)
		examine(ctx)
		for _, f := range d.found[before:] {
			if err := d.print(f); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if slices.ContainsFunc(d.found, func(f Finding) bool { return f.Level == cockpit.Trouble }) {
		return ErrUnwell
	}
	return nil
}

func (d *doctor) print(f Finding) error {
	remedy := ""
	if f.Remedy != "" {
		remedy = "\n                   → " + terminal.Sentence(f.Remedy)
	}
	return d.Printer.Print(f, "%-8s %-8s  %s%s\n", f.Level, f.Area, terminal.Sentence(f.Text), remedy)
}

func (d *doctor) add(level cockpit.Level, area, remedy, format string, args ...any) {
	d.found = append(d.found, Finding{level, area, fmt.Sprintf(format, args...), remedy})
}

// Clocks may differ by so much before somebody should look.
const (
	clockLook    = 500 * time.Millisecond
	clockTrouble = 30 * time.Second
)

func (d *doctor) clock(area, whose string, lead, precision time.Duration) {
	off := max(lead.Abs()-precision, 0)
	switch {
	case off > clockTrouble:
		d.add(cockpit.Trouble, area, "synchronise the clocks: chronyc tracking", "the clock of %s is %v %s this machine's: deadlines and pauses are judged wrongly", whose, lead.Abs().Round(time.Millisecond), before(lead))
	case off > clockLook:
		d.add(cockpit.Look, area, "synchronise the clocks: chronyc tracking", "the clock of %s is %v %s this machine's", whose, lead.Abs().Round(time.Millisecond), before(lead))
	}
}

func before(lead time.Duration) string {
	if lead < 0 {
		return "behind"
	}
	return "before"
}

// redis examines the servers that have the locks.
func (d *doctor) redis(ctx context.Context) {
	servers, err := d.Redis.Servers(ctx)
	if err != nil {
		d.add(cockpit.Trouble, "redis", "see that Redis runs, --redis-url, and the user's permissions in deploy/redis/users.acl", "%v", err)
		return
	}
	for _, s := range servers {
		if s.Version == "" {
			d.add(cockpit.Trouble, "redis", "use Redis 6.2 or later", "%s is no Redis to lock on, but an emulator or a proxy: workers do not start", s.Address)
			continue
		}
		d.add(cockpit.Well, "redis", "", "%s answers in %v, Redis %s, %s with %d replicas", s.Address, s.RoundTrip.Round(10*time.Microsecond), s.Version, s.Role, s.Replicas)
		d.clock("redis", "Redis "+s.Address, s.Lead, s.RoundTrip)
		set := "CONFIG SET "
		if s.Role != "master" {
			d.add(cockpit.Trouble, "redis", "name the master, or --redis-sentinel-master", "%s is a replica: workers do not start", s.Address)
		}
		if older(s.Version, 6, 2) {
			d.add(cockpit.Trouble, "redis", "use Redis 6.2 or later", "%s is too old", s.Address)
		}
		if s.Policy != "noeviction" {
			level, text := cockpit.Look, "would evict locks once it has a maxmemory"
			if s.MaxMemory > 0 {
				level, text = cockpit.Trouble, "may evict locks: no confirmation starts"
			}
			d.add(level, "redis", set+"maxmemory-policy noeviction", "%s %s: its maxmemory-policy is %s", s.Address, text, s.Policy)
		}
		if s.Evicted > 0 {
			d.add(cockpit.Look, "redis", "give it more memory", "%s has evicted %d keys since it started", s.Address, s.Evicted)
		}
		if !s.AppendOnly {
			d.add(cockpit.Look, "redis", set+"appendonly yes", "%s forgets its locks when it restarts: then nothing starts for one lease", s.Address)
		}
		if s.Replicas == 0 {
			d.add(cockpit.Look, "redis", "deploy/redis has a master with replicas and sentinels", "%s has no replica: while it is away nothing starts", s.Address)
		}
	}
}

// older tells whether the version is below major.minor. One that can't be read is not.
func older(version string, major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(version, "%d.%d", &a, &b); n < 2 {
		return false
	}
	return cmp.Or(cmp.Compare(a, major), cmp.Compare(b, minor)) < 0
}

// gateways asks each tenant's gateway who is online. No phone asks.
func (d *doctor) gateways(ctx context.Context) {
	options := d.Settings.Gateway.Options
	options.MaxConns, options.Logger = 1, d.Log
	client, err := gateway.New(options)
	if err != nil {
		d.add(cockpit.Trouble, "gateway", "", "%v", err)
		return
	}
	defer client.Close()
	const shown = 20
	names := client.TenantNames()
	for _, tenant := range names[:min(len(names), shown)] {
		access, _ := client.Access(tenant)
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := client.Online(ctx, tenant, "relogin-doctor", time.Time{})
		cancel()
		switch {
		case err == nil, errors.Is(err, worker.ErrNotOnline):
			d.add(cockpit.Well, "gateway", "", "tenant %s: %s answers, and has the online list", tenant, access.Address)
		case errors.Is(err, worker.ErrNoList) && options.Reconcile == gateway.ReconcileOff:
			d.add(cockpit.Look, "gateway", "--gateway-reconcile auto", "tenant %s: %s was not asked, since --gateway-reconcile is off: what a lost reply said is not learned", tenant, access.Address)
		case errors.Is(err, worker.ErrNoList):
			d.add(cockpit.Look, "gateway", "see that the address is right: something else than a gateway answers so, too", "tenant %s: %s answers, and has no online list: what a lost reply said can't be learned", tenant, access.Address)
		case errors.Is(err, worker.ErrRefused):
			d.add(cockpit.Trouble, "gateway", "replace the credential of tenant "+tenant, "tenant %s: %s refuses its credential: %v", tenant, access.Address, err)
		default:
			d.add(cockpit.Trouble, "gateway", "see that the gateway works, and its address", "tenant %s: %s: %v", tenant, access.Address, err)
		}
	}
	if len(names) > shown {
		d.add(cockpit.Look, "gateway", "", "%d more tenants were not tried", len(names)-shown)
	}
}

// pods examines those that run.
func (d *doctor) pods(ctx context.Context) {
	sources, err := cockpit.Open(ctx, d.NATS, d.Settings.NATS.Namespace)
	if err != nil {
		d.add(cockpit.Trouble, "pods", "relogin setup", "pods can't be asked: %v", err)
		return
	}
	asked := time.Now()
	o, err := sources.Overview(ctx)
	if err != nil {
		d.add(cockpit.Trouble, "pods", "", "pods can't be asked: %v", err)
		return
	}
	trip := time.Since(asked)
	d.add(o.Verdict.Level, "pods", o.Verdict.Do, "%s", o.Verdict.Text)
	versions := map[string]bool{}
	for _, p := range o.Pods {
		versions[p.Version] = true
		for _, trouble := range p.Trouble {
			d.add(cockpit.Trouble, "pods", "see its log, and docs/operations.md", "pod %s starts no confirmation: %s", p.Pod, trouble)
		}
		d.clock("pods", "pod "+p.Pod, p.Now.Sub(asked), trip)
	}
	if len(versions) > 1 {
		d.add(cockpit.Look, "pods", "finish the rollout", "pods run %d versions", len(versions))
	}
	for _, diff := range o.Differences {
		var values []string
		for value, pods := range diff.Values {
			values = append(values, fmt.Sprintf("%s (%s)", value, strings.Join(pods, ", ")))
		}
		slices.Sort(values)
		d.add(cockpit.Look, "pods", "give all pods the same settings", "pods differ in %s: %s", diff.Setting, strings.Join(values, "; "))
	}
}
