package main

import (
	"log/slog"
	"regexp"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

var inboxPattern = regexp.MustCompile(`^[^\s.*>]+(\.[^\s.*>]+)*$`)

// natsSettings say how to reach NATS, and where everything is there.
type natsSettings struct {
	Options   queue.Options // without name and logger
	Namespace string
}

func (n *natsSettings) declare(s *settings) {
	s.titled("NATS")
	o := &n.Options
	s.add("nats-url", serverURLs(&o.URL, "nats", "tls", "ws", "wss"), "nats://127.0.0.1:4222",
		"the server, or several of one cluster, comma-separated").alsoFrom("NATS_URL")
	s.add("nats-creds", file(&o.Creds), "", "file with a user's JWT and seed")
	s.add("nats-nkey", file(&o.NKey), "", "file with a user's seed")
	s.add("nats-ca", file(&o.CA), "", "PEM file to check the server's certificate with, instead of the system's")
	s.add("nats-cert", file(&o.Cert), "", "PEM file with the client certificate")
	s.add("nats-key", file(&o.Key), "", "PEM file with the client certificate's key")
	s.add("nats-inbox-prefix", matching(&o.InboxPrefix, "subject", inboxPattern, "a subject without wildcards, such as _INBOX_relogin"), "",
		"prefix of the subjects that replies come to, where permissions want one")
	s.add("nats-context", text(&o.Context), "",
		"a context of the nats command line; it stands in for --nats-url, and what else is set here goes before it")
	s.add("namespace", matching(&n.Namespace, "name", queue.NamespacePattern, "1 to 32 of A-Z a-z 0-9 _ -"), "relogin",
		"prefix of subjects, streams (in upper case) and Redis keys")
}

func (n *natsSettings) check(s *settings) {
	s.require((n.Options.Cert == "") == (n.Options.Key == ""), "--nats-cert and --nats-key belong together: set both", "nats-cert", "nats-key")
}

// connection returns the options of a connection, to be shown as that name.
func (n *natsSettings) connection(name string, log *slog.Logger) queue.Options {
	o := n.Options
	o.Name, o.Logger = name, log
	return o
}

// streamSettings are about the streams and consumers.
type streamSettings struct {
	Replicas    int
	AckWait     time.Duration
	EventMaxAge time.Duration
	DeadMaxAge  time.Duration
	JobMemory   time.Duration

	flags string // those that are set, as they are typed
}

func (c *streamSettings) declare(s *settings) {
	s.titled("Streams")
	s.add("replicas", number(&c.Replicas, 1, 5), "1", "servers that keep each stream: 1, 3 or 5; what is there keeps its number until setup --update")
	s.add("ack-wait", duration(&c.AckWait, time.Second, time.Hour), "30s",
		"after this a dead pod's jobs come back; what is there keeps its own until setup --update")
	s.add("event-max-age", duration(&c.EventMaxAge, time.Minute, 3650*day), "168h", "how long events are kept; what is there keeps its own until setup --update")
	s.add("dead-max-age", duration(&c.DeadMaxAge, time.Minute, 3650*day), "720h", "how long dead letters are kept; what is there keeps its own until setup --update")
	declareJobMemory(s, &c.JobMemory)
}

func declareJobMemory(s *settings, p *time.Duration) {
	s.add("job-memory", duration(p, time.Second, 365*day), "1h",
		"how long an ended job's id is remembered: a job of that id is the same job until then, and has no second event")
}

func (c *streamSettings) check(s *settings) {
	s.require(c.Replicas%2 == 1, "want 1, 3 or 5", "replicas")
	s.require(c.EventMaxAge >= 2*c.AckWait, "want at least twice --ack-wait, "+formatDuration(2*c.AckWait), "event-max-age", "ack-wait")
	s.require(c.JobMemory <= c.EventMaxAge, "want no more than --event-max-age, "+formatDuration(c.EventMaxAge), "job-memory", "event-max-age")
	c.flags = s.commandLine("namespace", "replicas", "ack-wait", "event-max-age", "dead-max-age", "job-memory")
}

// config returns the queue's. An event's id is taken for the same within two minutes,
// unless job ids may be used again sooner.
func (c *streamSettings) config(namespace string, log *slog.Logger) queue.Config {
	return queue.Config{
		Namespace: namespace, Replicas: c.Replicas, AckWait: c.AckWait,
		EventMaxAge: c.EventMaxAge, DeadMaxAge: c.DeadMaxAge,
		DuplicateWindow: min(2*time.Minute, c.JobMemory), JobMemory: c.JobMemory,
		EventEncoding: worker.EncodingMsgpack, Flags: c.flags, Logger: log,
	}
}
