package queue

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
)

func streamNames(t *testing.T, js jetstream.JetStream) (all []string) {
	t.Helper()
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		all = append(all, name)
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// All that Setup has created goes, and nothing of another namespace.
func TestRemove(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	open(t, nc, config())
	if err := Remove(t.Context(), nc, "other"); err != nil || len(streamNames(t, js)) != 6 {
		t.Errorf("another namespace's Remove: %v, and %q are left", err, streamNames(t, js))
	}
	if err := Remove(t.Context(), nc, "relogin"); err != nil || len(streamNames(t, js)) != 0 {
		t.Errorf("%v, and %q are left", err, streamNames(t, js))
	}
}

func TestRemoveFromAServerThatIsDown(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	if err := Setup(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Remove(short, nc, "relogin"); err == nil {
		t.Error("removed from a server that is down")
	}
	s.Start()
	servers.Eventually(t, "removed", func() bool { return Remove(t.Context(), nc, "relogin") == nil })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if left := streamNames(t, js); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}
