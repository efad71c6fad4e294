package queue

import (
	"context"
	"errors"
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

// What is claimed serves a worker, is nobody else's meanwhile, and goes without a trace.
func TestClaim(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := Claim(t.Context(), nc, config(), "a"); err != nil {
		t.Fatal(err)
	}
	open(t, nc, config())
	if err := Claim(t.Context(), nc, config(), "b"); !errors.Is(err, ErrTaken) {
		t.Errorf("claimed twice: %v", err)
	}
	late := config() // it looked before the other one had created anything
	late.owner = "b"
	if err := Setup(t.Context(), nc, late); !errors.Is(err, ErrTaken) {
		t.Errorf("claimed by two at once: %v", err)
	}
	if err := Remove(t.Context(), nc, "relogin", "b"); err != nil || len(streamNames(t, js)) != 4 {
		t.Errorf("another owner's Remove: %v, and %q are left", err, streamNames(t, js))
	}
	if err := Remove(t.Context(), nc, "relogin", "a"); err != nil || len(streamNames(t, js)) != 0 {
		t.Errorf("%v, and %q are left", err, streamNames(t, js))
	}
}

// Nothing of a namespace that is in use is touched, whichever part of it is there.
func TestClaimRefusesWhatIsThere(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names("relogin").all() {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"any." + name}}); err != nil {
			t.Fatal(err)
		}
		if err := Claim(t.Context(), nc, config(), "a"); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v", name, err)
		}
		if err := Remove(t.Context(), nc, "relogin", "a"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if left := streamNames(t, js); len(left) != 1 || left[0] != name {
			t.Errorf("%s: %q are there", name, left)
		}
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemoveWaitsForTheServer(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	if err := Claim(t.Context(), nc, config(), "a"); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Remove(short, nc, "relogin", "a"); err == nil {
		t.Error("removed from a server that is down")
	}
	removed := make(chan error)
	go func() { removed <- Remove(t.Context(), nc, "relogin", "a") }()
	s.Start()
	if err := <-removed; err != nil {
		t.Error(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if left := streamNames(t, js); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}
