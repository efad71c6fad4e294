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
	trust, err := OpenTrust(ctx, nc, "relogin", 1)
	if err != nil {
		t.Fatal(err)
	}
	empty, revision, err := trust.LoadPauses(ctx)
	if err != nil || len(empty) != 0 {
		t.Fatalf("at first: %v, %v", empty, err)
	}
	first := map[worker.Credential]uint64{{Tenant: "acme", Fingerprint: "1"}: 0, {Tenant: "beta", Fingerprint: "2"}: 7}
	if err := trust.StorePauses(ctx, first, revision); err != nil {
		t.Fatal(err)
	}
	if err := trust.StorePauses(ctx, nil, revision); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("who was overtaken is told %v", err)
	}
	got, revision, err := trust.LoadPauses(ctx)
	if err != nil || !maps.Equal(got, first) {
		t.Errorf("loaded %v, %v", got, err)
	}
	if err := trust.StorePauses(ctx, nil, revision); err != nil {
		t.Fatal(err)
	}
	if err := trust.StorePauses(ctx, first, revision); !errors.Is(err, worker.ErrConflict) {
		t.Errorf("who was overtaken is told %v", err)
	}
	if got, _, err := trust.LoadPauses(ctx); err != nil || len(got) != 0 {
		t.Errorf("after all were lifted: %v, %v", got, err)
	}
}
