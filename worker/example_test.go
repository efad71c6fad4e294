package worker_test

import (
	"context"
	"fmt"
	"time"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// Jobs come in msgpack or, as here, in JSON. What the message leaves out has its default.
func ExampleDecodeJob() {
	j, err := job.DecodeJob([]byte(`{"wcId":"wxid_a","id":"42","deadline":"2026-11-26T22:00:00+08:00"}`), "application/json")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(j.WcID, j.ID, j.Tenant, j.Deadline)

	_, err = job.DecodeJob([]byte(`{"id":"43"}`), "application/json")
	fmt.Println(err)
	// Output:
	// wxid_a 42 default 2026-11-26 14:00:00 +0000 UTC
	// invalid job: wcId is missing or empty
}

// A consumer that has a message's bytes and content type decodes its event.
func ExampleDecodeEvent() {
	event, err := job.DecodeEvent([]byte(`{"id":"e1","jobId":"42","wcId":"wxid_a","outcome":"succeeded","login":{"wId":"w-7"},"prompted":true}`), "application/json")
	if err != nil {
		fmt.Println(err)
		return
	}
	if event.Outcome == job.Succeeded {
		fmt.Printf("job %s: %s has the new wId %s\n", event.JobID, event.WcID, event.Login.WID)
	}
	// Output: job 42: wxid_a has the new wId w-7
}

// oneJob is a queue with a single job.
type oneJob struct {
	worker.Queue
	jobs chan *job.Delivery
	done context.CancelFunc
}

func (q *oneJob) Take(ctx context.Context, lane job.Lane, _ int, wait time.Duration) ([]*job.Delivery, int, error) {
	select {
	case d := <-q.jobs:
		return []*job.Delivery{d}, 0, nil
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return nil, 0, nil
}

func (q *oneJob) Publish(_ context.Context, e *job.Event) error {
	fmt.Println(e.WcID, e.Outcome, e.Login.WID)
	return nil
}
func (q *oneJob) Ack()                   { q.done() }
func (q *oneJob) Term()                  {}
func (q *oneJob) HandBack(time.Duration) {}
func (q *oneJob) Published(context.Context, string, string, time.Time) (bool, error) {
	return false, nil
}

// alwaysGranted is a locker that gives every account to whoever asks.
type alwaysGranted struct{ worker.Locker }

func (alwaysGranted) Begin(_ context.Context, a worker.Ask) (worker.Answer, error) {
	return worker.Answer{State: worker.Granted, Token: a.Token, Now: time.Now()}, nil
}
func (alwaysGranted) Finish(_ context.Context, c worker.Conclusion) (worker.Finished, error) {
	return worker.Finished{Result: c.Result, First: true}, nil
}
func (alwaysGranted) Reserve(context.Context, string, time.Duration) (time.Duration, bool, error) {
	return 0, true, nil
}
func (alwaysGranted) Shrink(string, string) {}

// alwaysConfirmed is a gateway whose people confirm at once.
type alwaysConfirmed struct{ worker.Gateway }

func (alwaysConfirmed) SecondLogin(_ context.Context, j *job.Job, beforeSend func() error) (worker.Reply, error) {
	return worker.Reply{Outcome: job.Succeeded, Code: "1000", Login: &job.Login{WID: "w-7"}}, beforeSend()
}
func (alwaysConfirmed) Access(string) (worker.Access, error) {
	return worker.Access{Address: "http://gateway"}, nil
}
func (alwaysConfirmed) Addresses() []string { return []string{"http://gateway"} }
func (alwaysConfirmed) Tenants() int        { return 1 }

// A worker needs a queue, a locker and a gateway. Here each is a fake of a few lines.
func ExampleNew() {
	ctx, cancel := context.WithCancel(context.Background())
	q := &oneJob{jobs: make(chan *job.Delivery, 1), done: cancel}
	q.jobs <- &job.Delivery{Lane: job.Normal, Data: []byte(`{"wcId":"wxid_a","id":"42"}`), StoredAt: time.Now(), Attempts: 1, Settler: q}

	w, err := worker.New(q, alwaysGranted{}, alwaysConfirmed{}, worker.Options{
		Pod: "example", Concurrency: 1, MaxParked: 1, MaxDeliveries: 5,
		SendWindow: time.Second, ConfirmTimeout: time.Minute, DedupWindow: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: wxid_a succeeded w-7
}
