package queue

import (
	"maps"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

func TestRefusalsAreStoredAgainstARevision(t *testing.T) {
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
	type trials = map[job.Credential]uint64
	update := func(change func(trials)) bool {
		stored, err := store.UpdateRefusals(ctx, change)
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	become := func(next trials) func(trials) {
		return func(got trials) { clear(got); maps.Copy(got, next) }
	}
	mustBe := func(want trials) {
		t.Helper()
		update(func(got trials) {
			if !maps.Equal(got, want) {
				t.Errorf("stored are %v, want %v", got, want)
			}
		})
	}
	mustBe(nil)
	first := trials{{Tenant: "acme", Fingerprint: "1"}: 0, {Tenant: "beta", Fingerprint: "2"}: 7}
	overtaken := func(faster, slower trials) {
		t.Helper()
		if update(func(got trials) {
			if !update(become(faster)) {
				t.Error("who was faster is told that it was overtaken")
			}
			become(slower)(got)
		}) {
			t.Error("who was overtaken is told that it has stored")
		}
		mustBe(faster)
	}
	overtaken(first, trials{{Tenant: "other"}: 1})
	overtaken(nil, trials{{Tenant: "other"}: 1})
}
