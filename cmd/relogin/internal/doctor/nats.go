package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/queue"
)

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
