package worker

import (
	"context"
	"io"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/worker/job"
)

// instant grants, confirms and stores at once: what is left is the pipeline's own cost.
type instant struct {
	Queue
	Locker
	Gateway
	login job.Login
}

func (*instant) Begin(_ context.Context, a Ask) (Answer, error) {
	return Answer{State: Granted, Now: time.Now(), Token: a.Token}, nil
}
func (*instant) Finish(_ context.Context, c Conclusion) (Finished, error) {
	return Finished{Result: c.Result}, nil
}
func (*instant) Tenants() int          { return 1 }
func (*instant) Shrink(string, string) {}
func (*instant) Reserve(context.Context, string, time.Duration) (time.Duration, bool, error) {
	return 0, true, nil
}
func (*instant) Access(string) (Access, error)             { return Access{Address: "http://gateway"}, nil }
func (*instant) Publish(context.Context, *job.Event) error { return nil }
func (i *instant) SecondLogin(_ context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
	login := i.login
	return Reply{Outcome: job.Succeeded, Code: "1000", Login: &login}, beforeSend()
}

type settled struct{ acks int }

func (s *settled) Ack()                 { s.acks++ }
func (*settled) Term()                  {}
func (*settled) HandBack(time.Duration) {}

// pipeline returns a worker that waits for nobody, and a job.
func pipeline(tb testing.TB) (*Worker, func() *job.Delivery) {
	i := &instant{login: job.Login{WcID: "wxid_a", WID: "w"}}
	w, err := New(i, i, i, Options{
		Pod: "pod", Concurrency: 1, MaxDeliveries: 100, SendWindow: time.Second, ConfirmTimeout: time.Minute, DedupWindow: time.Minute,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		tb.Fatal(err)
	}
	body, err := (&job.Job{ID: "j", WcID: "wxid_a"}).Encode(job.EncodingMsgpack)
	if err != nil {
		tb.Fatal(err)
	}
	return w, func() *job.Delivery {
		w.slots.tryAcquire(job.Normal, nobody, 1)
		return &job.Delivery{Lane: job.Normal, Data: body, StoredAt: time.Now(), Attempts: 1, Settler: &settled{}}
	}
}

// BenchmarkHandle is a job's way through the pipeline, without what it waits for.
func BenchmarkHandle(b *testing.B) {
	w, deliver := pipeline(b)
	b.ReportAllocs()
	for b.Loop() {
		w.process(during(b.Context()), deliver())
	}
}

// allocations is what a job may take of the heap on its straight way: 10 % above what was
// measured when it was made fast. Timings differ between machines, this does not.
const allocations = 46

func TestHandleAllocatesLittle(t *testing.T) {
	w, deliver := pipeline(t)
	d := deliver()
	w.process(during(t.Context()), d)
	if acks := d.Settler.(*settled).acks; acks != 1 {
		t.Fatalf("%d acks", acks)
	}
	least := math.Inf(1) // the collector empties pools now and then, and the race detector at random
	for range 5 {
		least = min(least, testing.AllocsPerRun(200, func() { w.process(during(t.Context()), deliver()) }))
	}
	if least > allocations {
		t.Errorf("a job takes %v allocations, want %d at the most", least, allocations)
	}
}
