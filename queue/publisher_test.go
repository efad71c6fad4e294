package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// Only the same job, byte for byte, is a repetition: one that was mended is not.
func TestAMendedJobIsStored(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	j := func(tenant string) *job.Job {
		labels := map[string]string{}
		for i := range 16 { // in another order each time
			labels[fmt.Sprint("k", i)] = "v"
		}
		return &job.Job{WcID: "a", ID: "1", Tenant: tenant, Labels: labels, Deadline: time.Unix(1_900_000_000, 0)}
	}
	for i, test := range []struct {
		job       *job.Job
		duplicate bool
	}{
		{j("unknown"), false}, {j("unknown"), true}, {j("known"), false}, {j("known"), true}, {j("unknown"), true},
	} {
		got, err := p.Publish(t.Context(), test.job, job.Normal)
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
	for _, j := range []*job.Job{{WcID: "a", ID: "own"}, {WcID: "a"}} {
		s, err := p.Publish(t.Context(), j, job.Normal)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.JobID)
	}
	all := slices.Values([]*job.Job{{WcID: "b"}, {WcID: "b", ID: "own-too"}})
	if err := p.PublishAll(t.Context(), job.Normal, all, func(_ *job.Job, s Stored, err error) {
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
		d := take(t, q, job.Normal, 1)[0]
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
	if _, err := p.Publish(t.Context(), nil, job.Normal); !errors.Is(err, job.ErrInvalidJob) {
		t.Errorf("nil: %v", err)
	}
	if _, err := p.Publish(t.Context(), &job.Job{WcID: "a"}, "slow"); err == nil {
		t.Error("published in an unknown lane")
	}
	var refused []bool
	err = p.PublishAll(t.Context(), job.Normal, slices.Values([]*job.Job{nil, {WcID: "a"}}), func(_ *job.Job, _ Stored, err error) {
		refused = append(refused, errors.Is(err, job.ErrInvalidJob))
	})
	if err != nil || !slices.Equal(refused, []bool{true, false}) {
		t.Errorf("refused %v: %v", refused, err)
	}
	if n := stored(t, q); n != 1 {
		t.Errorf("%d jobs are stored", n)
	}
}

// answering is a worker that answers each job with the outcome, in a queue of its own.
func answering(t *testing.T, q *Queue, outcome job.Outcome) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			taken, _, err := q.Take(ctx, job.Urgent, 1, 10*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			for _, d := range taken {
				j, err := d.Job()
				if err != nil {
					t.Error(err)
				}
				e := &job.Event{ID: j.EventID(), JobID: j.ID, WcID: j.WcID, Result: job.Result{Outcome: outcome, FinishedAt: time.Now()}}
				if outcome == job.Invalid {
					e.ID = j.InvalidEventID(d.Data)
				}
				if err := q.Publish(context.WithoutCancel(ctx), e); err != nil {
					t.Error(err)
				}
				d.Ack()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestPublishAndWait(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	putEvents(t, q, "somebody's") // of the same account
	answering(t, q, job.Failed)
	for range 20 { // however quick the worker is
		j := &job.Job{WcID: "a"}
		e, err := p.PublishAndWait(t.Context(), j, job.Urgent)
		if err != nil || e.Outcome != job.Failed || e.JobID == "" || j.ID != "" {
			t.Fatalf("event %+v, job %+v: %v", e, j, err)
		}
	}
	// The same job again has no second event; the one that it had is found.
	j := &job.Job{WcID: "a", ID: "mine"}
	first, err := p.PublishAndWait(t.Context(), j, job.Urgent)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.PublishAndWait(t.Context(), j, job.Urgent)
	if err != nil || again.ID != first.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := p.PublishAndWait(t.Context(), nil, job.Urgent); !errors.Is(err, job.ErrInvalidJob) {
		t.Errorf("nil: %v", err)
	}
	if n := nc.NumSubscriptions(); n > 8 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// An event that says that the job is invalid has another id, and is the job's all the same.
func TestPublishAndWaitForAnInvalidJob(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	answering(t, q, job.Invalid)
	for _, tenant := range []string{"unknown", "mended"} { // the second one's event is not the first one's
		j := &job.Job{WcID: "a", ID: "1", Tenant: tenant}
		e, err := p.PublishAndWait(t.Context(), j, job.Urgent)
		if err != nil || e.Outcome != job.Invalid {
			t.Fatalf("event %+v: %v", e, err)
		}
		msg, err := p.message(j, job.Urgent)
		if err != nil || e.ID != j.InvalidEventID(msg.Data) {
			t.Errorf("event %s of tenant %s: %v", e.ID, tenant, err)
		}
	}
}

// Nobody waits longer than his context; the job goes on, and its event is found later.
func TestPublishAndWaitEndsWithItsContext(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	impatient := errors.New("impatient")
	ctx, cancel := context.WithCancelCause(t.Context())
	var ended error
	done := make(chan struct{})
	j := &job.Job{WcID: "a", ID: "1"}
	go func() {
		defer close(done)
		_, ended = p.PublishAndWait(ctx, j, job.Urgent)
	}()
	servers.Eventually(t, "the job to be stored", func() bool { return stored(t, q) == 1 })
	cancel(impatient)
	<-done
	if !errors.Is(ended, impatient) || !strings.Contains(ended.Error(), "job 1") {
		t.Errorf("error %v", ended)
	}
	answering(t, q, job.Succeeded)
	servers.Eventually(t, "the job to end", func() bool { return stored(t, q) == 0 })
	if e, err := p.PublishAndWait(t.Context(), j, job.Urgent); err != nil || e.Outcome != job.Succeeded {
		t.Errorf("event %+v: %v", e, err)
	}
}

func TestPublishAndWaitAcrossARestart(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	p, err := NewPublisher(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	var e *job.Event
	done := make(chan struct{})
	j := &job.Job{WcID: "a", ID: "1"}
	go func() {
		defer close(done)
		e, err = p.PublishAndWait(t.Context(), j, job.Urgent)
	}()
	servers.Eventually(t, "the job to be stored", func() bool { return stored(t, q) == 1 })
	s.Stop()
	s.Start()
	answer := &job.Event{ID: j.EventID(), JobID: j.ID, WcID: j.WcID, Result: job.Result{Outcome: job.Expired, FinishedAt: time.Now()}}
	servers.Eventually(t, "the event to be stored", func() bool { return q.Publish(t.Context(), answer) == nil })
	<-done
	if err != nil || e.Outcome != job.Expired {
		t.Errorf("event %+v: %v", e, err)
	}
}
