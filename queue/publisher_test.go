package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

// Only the same job, byte for byte, is a repetition: one that was mended is not.
func TestAMendedJobIsStored(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	job := func(tenant string) *worker.Job {
		labels := map[string]string{}
		for i := range 16 { // in another order each time
			labels[fmt.Sprint("k", i)] = "v"
		}
		return &worker.Job{WcID: "a", ID: "1", Tenant: tenant, Labels: labels, Deadline: time.Unix(1_900_000_000, 0)}
	}
	for i, test := range []struct {
		job       *worker.Job
		duplicate bool
	}{
		{job("unknown"), false}, {job("unknown"), true}, {job("known"), false}, {job("known"), true}, {job("unknown"), true},
	} {
		got, err := p.Publish(t.Context(), test.job, worker.Normal)
		if err != nil || got.Duplicate != test.duplicate {
			t.Errorf("%d: duplicate %v, %v", i, got.Duplicate, err)
		}
	}
	if n := stored(t, q); n != 2 {
		t.Errorf("%d jobs are stored", n)
	}
}
