package queue

import (
	"errors"
	"fmt"
	"slices"
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

// The id that is returned is the one under which workers know the job.
func TestStoredJobID(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, j := range []*worker.Job{{WcID: "a", ID: "own"}, {WcID: "a"}} {
		s, err := p.Publish(t.Context(), j, worker.Normal)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.JobID)
	}
	all := slices.Values([]*worker.Job{{WcID: "b"}, {WcID: "b", ID: "own-too"}})
	if err := p.PublishAll(t.Context(), worker.Normal, all, func(_ *worker.Job, s Stored, err error) {
		if err != nil {
			t.Error(err)
		}
		ids = append(ids, s.JobID)
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"own", "RELOGIN_JOBS-2", "RELOGIN_JOBS-3", "own-too"}; !slices.Equal(ids, want) {
		t.Errorf("published %v, want %v", ids, want)
	}
	for _, want := range ids {
		d := take(t, q, worker.Normal, 1)[0]
		if j, err := d.Job(); err != nil || j.ID != want {
			t.Errorf("taken as %s, published as %s: %v", j.ID, want, err)
		}
		d.Ack()
	}
}

func TestPublishRefusesWhatIsNoJob(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), nil, worker.Normal); !errors.Is(err, worker.ErrInvalidJob) {
		t.Errorf("nil: %v", err)
	}
	if _, err := p.Publish(t.Context(), &worker.Job{WcID: "a"}, "slow"); err == nil {
		t.Error("published in an unknown lane")
	}
	var refused []bool
	err = p.PublishAll(t.Context(), worker.Normal, slices.Values([]*worker.Job{nil, {WcID: "a"}}), func(_ *worker.Job, _ Stored, err error) {
		refused = append(refused, errors.Is(err, worker.ErrInvalidJob))
	})
	if err != nil || !slices.Equal(refused, []bool{true, false}) {
		t.Errorf("refused %v: %v", refused, err)
	}
	if n := stored(t, q); n != 1 {
		t.Errorf("%d jobs are stored", n)
	}
}
