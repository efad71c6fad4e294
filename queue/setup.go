package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

// Config is what streams and consumers are made of, and how events are written.
type Config struct {
	Namespace       string
	Replicas        int             // of what is created
	AckWait         time.Duration   // after this a dead pod's jobs come back
	EventMaxAge     time.Duration   // how long events are kept
	DeadMaxAge      time.Duration   // how long dead letters are kept
	DuplicateWindow time.Duration   // within it an event's id is stored once
	EventEncoding   worker.Encoding // msgpack unless set
	Logger          *slog.Logger

	owner string // of what is created; see [Claim]
}

// ErrMismatch is returned when a stream or consumer is there, but can't serve: the
// text says what it has, and what is wanted.
var ErrMismatch = errors.New("it was created differently")

var lanes = []worker.Lane{worker.Urgent, worker.Normal}

// NamespacePattern is what a namespace may be.
var NamespacePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// names are the streams and subjects of a namespace.
type names string

func (n names) stream(what string) string { return strings.ToUpper(string(n)) + "_" + what }
func (n names) jobs() string              { return n.stream("JOBS") }
func (n names) events() string            { return n.stream("EVENTS") }
func (n names) dead() string              { return n.stream("DEAD") }

func (n names) jobSubject(lane worker.Lane) string  { return string(n) + ".jobs." + string(lane) }
func (n names) deadSubject(lane worker.Lane) string { return string(n) + ".dead." + string(lane) }
func (n names) eventSubject(outcome worker.Outcome, wcID string) string {
	return string(n) + ".events." + string(outcome) + "." + worker.AccountToken(wcID)
}

// account matches all that is said of the account: its events, and that it was freed.
func (n names) account(wcID string) string       { return n.accountToken(worker.AccountToken(wcID)) }
func (n names) accountToken(token string) string { return string(n) + ".*.*." + token }

// freed is where pods tell each other that an account's lock was let go of; no stream has it.
func (n names) freed(token string) string { return string(n) + ".account.freed." + token }

// accountEvents matches the account's events of every outcome.
func (n names) accountEvents(wcID string) string { return n.eventSubject("*", wcID) }

// newNames checks the namespace: letters, digits, "_" and "-", at most 32.
func newNames(namespace string) (names, error) {
	if !NamespacePattern.MatchString(namespace) {
		return "", fmt.Errorf("namespace %q: want 1 to 32 of A-Z a-z 0-9 _ -", namespace)
	}
	return names(namespace), nil
}

// Setup creates the streams and consumers that are missing, and checks those that are
// there: an error wrapping [ErrMismatch] names one that can't serve. It never changes
// any: updating a consumer disturbs what it has delayed. Many may call it at once.
func Setup(ctx context.Context, nc *nats.Conn, c Config) error {
	n, err := newNames(c.Namespace)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	for _, want := range c.streams(n) {
		want.Metadata = ownedBy(c.owner)
		if err := insist(ctx, func(ctx context.Context) error { return setUpStream(ctx, js, want) }); err != nil {
			return fmt.Errorf("set up stream %s: %w", want.Name, explain(nc, err))
		}
	}
	for _, lane := range lanes {
		if err := insist(ctx, func(ctx context.Context) error { return setUpConsumer(ctx, js, n, c.consumer(n, lane)) }); err != nil {
			return fmt.Errorf("set up consumer %s of stream %s: %w", lane, n.jobs(), explain(nc, err))
		}
	}
	err = insist(ctx, func(ctx context.Context) error {
		_, err := openTrust(ctx, nc, c.Namespace, c.Replicas, c.owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("set up: %w", explain(nc, err))
	}
	return nil
}

const (
	setupTries  = 4
	setupAnswer = 5 * time.Second
)

// insist asks again when there is no answer: a cluster that is asked for the same stream
// by several pods at once answers some of them never.
func insist(ctx context.Context, ask func(context.Context) error) (err error) {
	for range setupTries {
		try, cancel := context.WithTimeout(ctx, setupAnswer)
		err = ask(try)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return err
}

func (c *Config) streams(n names) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{{
		Name: n.jobs(), Description: "relogin jobs that have not ended",
		Subjects:  []string{n.jobSubject(worker.Urgent), n.jobSubject(worker.Normal)},
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		Storage: jetstream.FileStorage, Replicas: c.Replicas, AllowDirect: true,
	}, {
		Name: n.events(), Description: "how relogin jobs ended",
		Subjects: []string{string(n) + ".events.*.*"}, MaxAge: c.EventMaxAge,
		Duplicates: min(c.DuplicateWindow, c.EventMaxAge), Discard: jetstream.DiscardNew,
		Storage: jetstream.FileStorage, Replicas: c.Replicas, AllowDirect: true,
	}, {
		Name: n.dead(), Description: "relogin jobs that could not be processed",
		Subjects: []string{string(n) + ".dead.*"}, MaxAge: c.DeadMaxAge,
		Storage: jetstream.FileStorage, Replicas: c.Replicas, AllowDirect: true,
	}}
}

// consumer has no bound on deliveries: a job that exhausts one stays in a work queue
// without a word (nats-server 2.15; it is in no list that a client can read), and being
// handed back uses deliveries up too. So the worker counts.
// Nor has it one on pending messages: a pod takes what it has slots for.
func (c *Config) consumer(n names, lane worker.Lane) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: string(lane), FilterSubject: n.jobSubject(lane),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: c.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 4096,
	}
}

func setUpStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another pod, just now
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	if owner := want.Metadata[ownerKey]; have.Metadata[ownerKey] != owner && owner != "" {
		return ErrTaken
	}
	if have.Retention != want.Retention {
		return fmt.Errorf("%w: its retention is %v, %v is wanted", ErrMismatch, have.Retention, want.Retention)
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(have.Subjects, subject) {
			return fmt.Errorf("%w: its subjects are %v, and %s is missing", ErrMismatch, have.Subjects, subject)
		}
	}
	return nil
}

func setUpConsumer(ctx context.Context, js jetstream.JetStream, n names, want jetstream.ConsumerConfig) error {
	consumer, err := js.Consumer(ctx, n.jobs(), want.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = js.CreateConsumer(ctx, n.jobs(), want)
		if errors.Is(err, jetstream.ErrConsumerExists) { // by another pod, set otherwise
			consumer, err = js.Consumer(ctx, n.jobs(), want.Durable)
		}
	}
	if err != nil {
		return err
	}
	have := consumer.CachedInfo().Config
	if have.FilterSubject != want.FilterSubject {
		return fmt.Errorf("%w: it filters %q, %q is wanted", ErrMismatch, have.FilterSubject, want.FilterSubject)
	}
	if have.MaxDeliver > 0 {
		return fmt.Errorf("%w: it ends jobs after %d deliveries, which leaves them in the stream unseen: edit it to have no bound", ErrMismatch, have.MaxDeliver)
	}
	if have.AckPolicy != want.AckPolicy {
		return fmt.Errorf("%w: its acknowledgement is %v, %v is wanted", ErrMismatch, have.AckPolicy, want.AckPolicy)
	}
	return nil
}

// explain adds to the time-out that a refused request ends with what the server refused
// last. That may be older than the error, so it is said to be a possibility.
func explain(nc *nats.Conn, err error) error {
	refusal := nc.LastError()
	if !errors.Is(refusal, nats.ErrPermissionViolation) {
		return err
	}
	for _, silent := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoHeartbeat, jetstream.ErrAsyncPublishTimeout,
	} {
		if errors.Is(err, silent) {
			return fmt.Errorf("%w; if the cause is what the server refused this user last, grant it: %w", err, refusal)
		}
	}
	return err
}
