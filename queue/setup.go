package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// Config is what streams and consumers are made of, and how events are written.
type Config struct {
	Namespace       string        // relogin unless set
	Replicas        int           // of what is created; 1 unless set
	AckWait         time.Duration // after this a dead pod's jobs come back
	EventMaxAge     time.Duration // how long events are kept
	DeadMaxAge      time.Duration // how long dead letters are kept
	AuditMaxAge     time.Duration // how long the audit is kept
	DuplicateWindow time.Duration // within it an event's or a job's id is stored once; that of the function DuplicateWindow unless set, and no longer
	JobMemory       time.Duration // how long job ids are remembered; 0: unknown
	EventEncoding   job.Encoding  // msgpack unless set
	Flags           string        // of the command line, for the commands that a Finding names
	Logger          *slog.Logger
}

// DuplicateWindow returns for how long NATS shall take a message of the same id for the same
// message: two minutes, unless workers remember job ids for less, so that these may be used again
// sooner. A job memory of 0 is not known.
func DuplicateWindow(jobMemory time.Duration) time.Duration {
	const usual, shortest = 2 * time.Minute, 100 * time.Millisecond // NATS takes no shorter one
	if jobMemory == 0 {
		return usual
	}
	return min(usual, max(jobMemory, shortest))
}

var lanes = []job.Lane{job.Urgent, job.Normal}

// NamespacePattern is what a namespace may be.
var NamespacePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// names are the streams and subjects of a namespace.
type names string

func (n names) stream(what string) string { return strings.ToUpper(string(n)) + "_" + what }
func (n names) jobs() string              { return n.stream("JOBS") }
func (n names) events() string            { return n.stream("EVENTS") }
func (n names) dead() string              { return n.stream("DEAD") }
func (n names) audit() string             { return n.stream("AUDIT") }
func (n names) redis() string             { return n.stream("REDIS") }   // a bucket
func (n names) control() string           { return n.stream("CONTROL") } // a bucket

// streamKinds are what the streams of [names.all] are.
var streamKinds = []kind{ofJobs, ofEvents, ofDead, ofAudit, ofRedis, ofControl}

// all are the streams, also those of buckets.
func (n names) all() []string {
	return []string{n.jobs(), n.events(), n.dead(), n.audit(), "KV_" + n.redis(), "KV_" + n.control()}
}

func (n names) jobSubject(lane job.Lane) string  { return string(n) + ".jobs." + string(lane) }
func (n names) deadSubject(lane job.Lane) string { return string(n) + ".dead." + string(lane) }
func (n names) deadEvents() string               { return string(n) + ".dead.events" }
func (n names) eventSubject(outcome job.Outcome, wcID string) string {
	return string(n) + ".events." + string(outcome) + "." + job.AccountToken(wcID)
}

// account matches all that is said of the account: its events, and that it was freed.
func (n names) account(wcID string) string { return string(n) + ".*.*." + job.AccountToken(wcID) }

// freed is where pods tell each other that an account's lock was let go of; no stream has it.
func (n names) freed(token string) string { return string(n) + ".account.freed." + token }

// pods is where pods are asked what they do.
func (n names) pods(what string) string { return string(n) + ".pods." + what }

// accountEvents matches the account's events of every outcome.
func (n names) accountEvents(wcID string) string { return n.eventSubject("*", wcID) }

// client works on one namespace over one connection.
type client struct {
	names names
	nc    *nats.Conn
	js    jetstream.JetStream
}

// newClient returns an error for a namespace that is none. An empty one is the default.
func newClient(nc *nats.Conn, namespace string, options ...jetstream.JetStreamOpt) (client, error) {
	namespace = cmp.Or(namespace, "relogin")
	if !NamespacePattern.MatchString(namespace) {
		return client{}, fmt.Errorf("namespace %q: want 1 to 32 of A-Z a-z 0-9 _ -", namespace)
	}
	js, err := jetstream.New(nc, options...)
	return client{names(namespace), nc, js}, err
}

// Setup creates the streams and consumers that are missing, and changes none: updating a
// consumer disturbs what it has delayed. It returns an error wrapping [ErrMismatch] when
// what is there can't serve, and creates nothing then. Many may call it at once.
func Setup(ctx context.Context, nc *nats.Conn, c Config) error {
	p, err := newPlan(nc, &c)
	if err == nil {
		err = p.setUp(ctx)
	}
	if err != nil {
		return fmt.Errorf("set up queue: %w", err)
	}
	return nil
}

// Remove deletes the namespace's streams and all that is in them. An empty one is the default.
func Remove(ctx context.Context, nc *nats.Conn, namespace string) error {
	c, err := newClient(nc, namespace)
	if err != nil {
		return fmt.Errorf("remove namespace: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	for _, name := range c.names.all() {
		_, err := c.js.Stream(ctx, name) // whoever set up nothing may lack the permission to delete
		if err == nil {
			err = c.js.DeleteStream(ctx, name)
		}
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove stream %s: %w", name, withPermissionHint(nc, err))
		}
	}
	return nil
}

const (
	setupTries  = 4
	setupAnswer = 5 * time.Second
)

// command returns the command line that works on the queue with these settings.
func (c *Config) command(name string) string {
	return strings.TrimSpace("relogin " + name + " " + c.Flags)
}

// streams are those of the namespace, in the order of [names.all].
func (c *Config) streams(n names) []jetstream.StreamConfig {
	eventWindow := c.DuplicateWindow
	if c.EventMaxAge > 0 { // NATS takes no longer one
		eventWindow = min(eventWindow, c.EventMaxAge)
	}
	all := []jetstream.StreamConfig{{
		Description: "relogin jobs that have not ended",
		Subjects:    []string{n.jobSubject(job.Urgent), n.jobSubject(job.Normal)},
		Retention:   jetstream.WorkQueuePolicy, Duplicates: c.DuplicateWindow, Discard: jetstream.DiscardNew,
	}, {
		Description: "how relogin jobs ended", Subjects: []string{string(n) + ".events.*.*"},
		MaxAge: c.EventMaxAge, Duplicates: eventWindow, Discard: jetstream.DiscardNew,
	}, {
		Description: "relogin jobs that could not be processed", Subjects: []string{string(n) + ".dead.*"}, MaxAge: c.DeadMaxAge,
	}, {
		Description: "what people did with relogin jobs", Subjects: []string{string(n) + ".audit.>"}, MaxAge: c.AuditMaxAge,
	}, {
		Subjects: []string{"$KV." + n.redis() + ".>"}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew,
	}, {
		Subjects: []string{"$KV." + n.control() + ".>"}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, AllowMsgTTL: true, AllowRollup: true,
	}}
	for i, name := range n.all() {
		s := &all[i]
		s.Name, s.Storage, s.Replicas, s.AllowDirect = name, jetstream.FileStorage, c.Replicas, true
		s.MaxMsgs, s.MaxBytes, s.MaxMsgsPerSubject, s.MaxMsgSize, s.MaxConsumers = -1, -1, cmp.Or(s.MaxMsgsPerSubject, -1), -1, -1
	}
	return all
}

// consumer has no bound on deliveries: a job that exhausts one stays in a work queue
// without a word (nats-server 2.15; it is in no list that a client can read), and being
// handed back uses deliveries up too. So the worker counts.
// Nor has it one on pending messages: a pod takes what it has slots for.
func (c *Config) consumer(n names, lane job.Lane) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: string(lane), FilterSubject: n.jobSubject(lane),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 4096,
	}
}

// withPermissionHint adds to the time-out that a refused request ends with what the server refused
// last. That may be older than the error, so it is said to be a possibility.
func withPermissionHint(nc *nats.Conn, err error) error {
	refusal := nc.LastError()
	if !errors.Is(refusal, nats.ErrPermissionViolation) || !isAny(err, context.DeadlineExceeded, nats.ErrTimeout,
		nats.ErrNoResponders, jetstream.ErrNoHeartbeat, jetstream.ErrAsyncPublishTimeout) {
		return err
	}
	return fmt.Errorf("%w; if the cause is what the server refused this user last, grant it: %w", err, refusal)
}
