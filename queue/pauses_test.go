package queue

import (
	"errors"
	"maps"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

func TestPausesAreStoredAgainstARevision(t *testing.T) {
	nc, err := nats.Connect(servers.NATS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx := t.Context()
	if err := Setup(ctx, nc, config()); err != nil {
		t.Fatal(err)
	}
	store, err := OpenIncarnationStore(ctx, nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	empty, revision, err := store.LoadPauses(ctx)
	if err != nil || len(empty) != 0 {
		t.Fatalf("at first: %v, %v", empty, err)
	}
	first := map[worker.Credential]uint64{{Tenant: "acme", Fingerprint: "1"}: 0, {Tenant: "beta", Fingerprint: "2"}: 7}
	if err := store.StorePauses(ctx, first, revision); err != nil {
		t.Fatal(err)
	}
	if err := store.StorePauses(ctx, nil, revision); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("who was overtaken is told %v", err)
	}
	got, revision, err := store.LoadPauses(ctx)
	if err != nil || !maps.Equal(got, first) {
		t.Errorf("loaded %v, %v", got, err)
	}
	if err := store.StorePauses(ctx, nil, revision); err != nil {
		t.Fatal(err)
	}
	if err := store.StorePauses(ctx, first, revision); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("who was overtaken is told %v", err)
	}
	if got, _, err := store.LoadPauses(ctx); err != nil || len(got) != 0 {
		t.Errorf("after all were lifted: %v, %v", got, err)
	}
}
