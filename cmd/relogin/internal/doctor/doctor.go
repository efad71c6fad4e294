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
	"github.com/relogin/relogin/queue"
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

// server examines the connection to NATS.
func (d *doctor) server(context.Context) {
	trip, err := d.NATS.RTT()
	if err != nil {
		d.add(cockpit.Trouble, "nats", "see that the server runs, and --nats-url", "the server does not answer: %v", err)
		return
	}
	d.add(cockpit.Well, "nats", "", "connected to %s, nats-server %s, %d servers known, round trip %v", d.NATS.ConnectedUrlRedacted(), d.NATS.ConnectedServerVersion(),
		max(len(d.NATS.Servers()), 1), trip.Round(10*time.Microsecond))
	if trip > 100*time.Millisecond {
		d.add(cockpit.Look, "nats", "run workers near NATS", "a round trip takes %v", trip.Round(time.Millisecond))
	}
	if !d.NATS.AuthRequired() {
		d.add(cockpit.Look, "nats", "set it up as in deploy/nats", "the server asks nobody for a credential: whoever reaches it can read logins and delete jobs")
	}
	if !d.NATS.TLSRequired() {
		d.add(cockpit.Look, "nats", "set it up as in deploy/nats", "the connection is not encrypted: whoever can listen reads logins")
	}
}

// streams examines the streams, buckets and consumers.
func (d *doctor) streams(ctx context.Context) {
	config := d.Settings.Streams.Config
	config.Namespace, config.Logger = d.Settings.NATS.Namespace, d.Log
	found, err := queue.Check(ctx, d.NATS, config)
	if err != nil {
		d.add(cockpit.Trouble, "nats", "give the command a user of deploy/nats/users.conf", "the streams can't be examined: %v", err)
		return
	}
	for _, f := range found {
		level := cockpit.Trouble
		if f.Severity == queue.Differs {
			level = cockpit.Look
		}
		text, _, _ := strings.Cut(f.String(), ". To c")
		d.add(level, "nats", f.Remedy, "%s", text)
	}
	if len(found) == 0 {
		d.add(cockpit.Well, "nats", "", "the streams and consumers of namespace %s are there, and as the settings say", config.Namespace)
	}
	states, err := queue.StreamStates(ctx, d.NATS, config.Namespace)
	if err != nil {
		d.add(cockpit.Look, "nats", "", "the state of the streams can't be read: %v", err)
	}
	for _, s := range states {
		if len(s.Behind) > 0 {
			d.add(cockpit.Look, "nats", "nats stream cluster; see those servers' logs", "stream %s: %s: not up to date, or offline: it has fewer copies than it should", s.Name, strings.Join(s.Behind, ", "))
		}
		if s.Replicas == 1 && len(d.NATS.Servers()) > 2 {
			d.add(cockpit.Look, "nats", "relogin setup --update --replicas 3", "stream %s is on one server of a cluster: it is away when that one is", s.Name)
		}
	}
	if len(states) > 0 {
		d.clock("nats", "NATS", states[0].Lead, states[0].RoundTrip)
	}
}

// permissions tries what a worker needs, and some of what it should not have.
func (d *doctor) permissions(ctx context.Context) {
	missing, surplus, err := queue.TryPermissions(ctx, d.NATS, d.Settings.NATS.Namespace)
	if err != nil {
		d.add(cockpit.Trouble, "nats", "", "the permissions can't be tried: %v", err)
		return
	}
	for _, what := range missing {
		d.add(cockpit.Trouble, "nats", "grant it: deploy/nats/users.conf has all that a worker needs", "a worker with this user may not %s", what)
	}
	if len(missing) == 0 {
		d.add(cockpit.Well, "nats", "", "this user may do all that a worker needs")
	}
	if len(surplus) > 0 {
		d.add(cockpit.Look, "nats", "run workers as the user WORKER of deploy/nats/users.conf", "this user may do more than a worker needs: %s", strings.Join(surplus, ", "))
	}
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
