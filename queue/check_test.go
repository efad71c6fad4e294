package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
)

// The streams of two namespaces that differ only in case have the same names, and their
// locks are other keys in Redis: two workers would prompt at the same time.
func TestOpenRefusesAnotherNamespace(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	open(t, nc, config())
	other := config()
	other.Namespace = "Relogin"
	q, err := Open(t.Context(), nc, other)
	if err == nil {
		q.Close()
	}
	if !errors.Is(err, ErrMismatch) {
		t.Errorf("a worker of another namespace serves these streams: %v", err)
	}
}

// What was seen: jobs were lost, and setup had said that all was well.
func TestSetupRefusesAStreamThatLosesJobs(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "RELOGIN_JOBS", Subjects: []string{"relogin.jobs.urgent", "relogin.jobs.normal"}, Retention: jetstream.WorkQueuePolicy,
		Storage: jetstream.MemoryStorage, MaxAge: 2 * time.Second, MaxMsgs: 5, Discard: jetstream.DiscardOld,
	}); err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), nc, config()); !errors.Is(err, ErrMismatch) {
		t.Errorf("error %v", err)
	}
}
