// Package backend has the settings of NATS and Redis, and connects to them with errors that
// name the settings to look at.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

// Patience is how long a command that a person types waits for a server.
const Patience = 10 * time.Second

var inboxPattern = regexp.MustCompile(`^[^\s.*>]+(\.[^\s.*>]+)*$`)

// NATS says how to reach NATS, and where everything is there.
type NATS struct {
	NATSServer
	Namespace string
}

// Declare implements [settings.Group].
func (n *NATS) Declare(s *settings.Settings) {
	n.NATSServer.Declare(s)
	s.Add("namespace", settings.Matching(&n.Namespace, "name", queue.NamespacePattern, "1 to 32 of A-Z a-z 0-9 _ -"), "relogin",
		"prefix of subjects, streams (in upper case) and Redis keys")
}

// NATSServer says how to reach NATS.
type NATSServer struct {
	Options queue.Options // without name and logger
}

// Declare implements [settings.Group].
func (n *NATSServer) Declare(s *settings.Settings) {
	s.Section("NATS")
	o := &n.Options
	s.Add("nats-url", settings.ServerURLs(&o.URL, "nats", "tls", "ws", "wss"), "nats://127.0.0.1:4222",
		"the server, or several of one cluster, comma-separated").AlsoFrom("NATS_URL")
	s.Add("nats-creds", settings.File(&o.Creds), "", "file with a user's JWT and seed")
	s.Add("nats-nkey", settings.File(&o.NKey), "", "file with a user's seed")
	s.Add("nats-ca", settings.File(&o.CA), "", "PEM file to check the server's certificate with, instead of the system's")
	s.Add("nats-cert", settings.File(&o.Cert), "", "PEM file with the client certificate")
	s.Add("nats-key", settings.File(&o.Key), "", "PEM file with the client certificate's key")
	s.Add("nats-inbox-prefix", settings.Matching(&o.InboxPrefix, "subject", inboxPattern, "a subject without wildcards, such as _INBOX_relogin"), "",
		"prefix of the subjects that replies come to, where permissions want one")
	s.Add("nats-context", settings.Text(&o.Context), "",
		"a context of the nats command line; it stands in for --nats-url, and what else is set here goes before it")
}

// Check implements [settings.Checker].
func (n *NATSServer) Check(s *settings.Settings) {
	s.Require((n.Options.Cert == "") == (n.Options.Key == ""), "--nats-cert and --nats-key belong together: set both", "nats-cert", "nats-key")
}

// Connect is [queue.Connect], as a client of that name, with errors that name the settings
// to look at.
func (n *NATSServer) Connect(ctx context.Context, name string, log *slog.Logger) (*nats.Conn, error) {
	o := n.Options
	o.Name, o.Logger = name, log
	nc, err := queue.Connect(ctx, o)
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return nil, fmt.Errorf("%w: NATS refuses this user; set another by --nats-creds, --nats-nkey, --nats-context, or --nats-url nats://user:password@host:port", err)
		}
	}
	return nc, err
}

// ConnectSoon is [NATSServer.Connect], and gives up after the limit.
func (n *NATSServer) ConnectSoon(ctx context.Context, name string, log *slog.Logger, limit time.Duration) (*nats.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("time-out after %s", limit))
	defer cancel()
	nc, err := n.Connect(ctx, name, log)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w; --nats-url says where the server is", err)
	}
	return nc, err
}

// Streams are the settings of the streams and consumers.
type Streams struct {
	queue.Config // without namespace, encoding and logger
}

// Declare implements [settings.Group].
func (c *Streams) Declare(s *settings.Settings) {
	s.Section("Streams")
	s.Add("replicas", settings.Int(&c.Replicas, 1, 5), "1", "servers that keep each stream: 1, 3 or 5; what is there keeps its number until setup --update")
	s.Add("ack-wait", settings.Duration(&c.AckWait, time.Second, time.Hour), "30s",
		"after this a dead pod's jobs come back; what is there keeps its own until setup --update")
	s.Add("event-max-age", settings.Duration(&c.EventMaxAge, time.Minute, 3650*settings.Day), "168h", "how long events are kept; what is there keeps its own until setup --update")
	s.Add("dead-max-age", settings.Duration(&c.DeadMaxAge, time.Minute, 3650*settings.Day), "720h", "how long dead letters are kept; what is there keeps its own until setup --update")
	s.Add("audit-max-age", settings.Duration(&c.AuditMaxAge, time.Minute, 3650*settings.Day), "8760h", "how long it is kept what people did; what is there keeps its own until setup --update")
	DeclareJobMemory(s, &c.JobMemory)
}

// DeclareJobMemory declares --job-memory.
func DeclareJobMemory(s *settings.Settings, p *time.Duration) {
	s.Add("job-memory", settings.Duration(p, time.Second, 365*settings.Day), "1h",
		"how long an ended job's id is remembered: a job of that id is the same job until then, and has no second event")
}

// Check implements [settings.Checker].
func (c *Streams) Check(s *settings.Settings) {
	s.Require(c.Replicas%2 == 1, "want 1, 3 or 5", "replicas")
	s.Require(c.EventMaxAge >= 2*c.AckWait, "want at least twice --ack-wait, "+settings.FormatDuration(2*c.AckWait), "event-max-age", "ack-wait")
	s.Require(c.JobMemory <= c.EventMaxAge, "want no more than --event-max-age, "+settings.FormatDuration(c.EventMaxAge), "job-memory", "event-max-age")
	c.Flags = s.CommandLine("namespace", "replicas", "ack-wait", "event-max-age", "dead-max-age", "audit-max-age", "job-memory")
	c.DuplicateWindow = queue.DuplicateWindow(c.JobMemory)
}
