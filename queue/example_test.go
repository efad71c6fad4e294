package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// connected runs an example on a server of its own, with the streams set up.
func connected(example func(context.Context, *nats.Conn) error) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := queue.Connect(ctx, queue.Options{URL: s.ClientURL(), Name: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	config := queue.Config{Namespace: "relogin", Replicas: 1, AckWait: 30 * time.Second,
		EventMaxAge: 7 * 24 * time.Hour, DeadMaxAge: 30 * 24 * time.Hour}
	if err := queue.Setup(ctx, nc, config); err != nil {
		log.Fatal(err)
	}
	if err := example(ctx, nc); err != nil {
		log.Fatal(err)
	}
}

// A job that is published again, because its acknowledgement got lost, is one job still.
func ExamplePublisher_Publish() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		publisher, err := queue.NewPublisher(nc, "relogin")
		if err != nil {
			return err
		}
		j := &job.Job{WcID: "wxid_1", ID: "order-7", Deadline: time.Now().Add(10 * time.Minute)}
		for range 2 {
			stored, err := publisher.Publish(ctx, j, job.Urgent)
			if err != nil {
				return err
			}
			fmt.Println(stored.JobID, stored.Sequence, stored.Duplicate)
		}
		_, err = publisher.Publish(ctx, &job.Job{}, job.Urgent)
		fmt.Println(errors.Is(err, job.ErrInvalidJob))
		return nil
	})
	// Output:
	// order-7 1 false
	// order-7 1 true
	// true
}

func ExamplePublisher_PublishAll() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		publisher, err := queue.NewPublisher(nc, "relogin")
		if err != nil {
			return err
		}
		jobs := func(yield func(*job.Job) bool) {
			for i := range 5000 {
				if !yield(&job.Job{WcID: fmt.Sprintf("wxid_%d", i)}) {
					return
				}
			}
		}
		stored, failed := 0, 0
		err = publisher.PublishAll(ctx, job.Normal, jobs, func(_ *job.Job, _ queue.Stored, err error) {
			if err == nil {
				stored++
			} else {
				failed++
			}
		})
		fmt.Println(stored, "stored,", failed, "failed")
		return err
	})
	// Output: 5000 stored, 0 failed
}

// The job is published once the follower stands, so that its event can't be missed.
func ExampleFollow() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		q, err := queue.Open(ctx, nc, queue.Config{Namespace: "relogin", EventEncoding: job.EncodingJSON})
		if err != nil {
			return err
		}
		defer q.Close()
		answer := func() { // what a worker does
			err := q.Publish(ctx, &job.Event{ID: "e1", JobID: "order-7", WcID: "wxid_1",
				Result: job.Result{Outcome: job.Succeeded, Prompted: true, FinishedAt: time.Now()}})
			if err != nil {
				log.Fatal(err)
			}
		}
		enough := errors.New("enough")
		err = queue.Follow(ctx, nc, queue.FollowOptions{Namespace: "relogin", Account: "wxid_1", Ready: answer},
			func(e *job.Event) error {
				fmt.Println(e.JobID, e.Outcome)
				return enough
			})
		if errors.Is(err, enough) {
			return nil
		}
		return err
	})
	// Output: order-7 succeeded
}

func ExamplePublisher_PublishAndWait() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		stop, err := startWorker(ctx, nc)
		if err != nil {
			return err
		}
		defer stop()
		publisher, err := queue.NewPublisher(nc, "relogin")
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		j := &job.Job{WcID: "wxid_1", ID: "order-7"}
		event, err := publisher.PublishAndWait(waiting, j, job.Urgent)
		if err != nil {
			return err // after a time-out the job goes on: the same call waits for it again
		}
		fmt.Println(event.JobID, event.Outcome)
		return nil
	})
	// Output: order-7 succeeded
}

// startWorker answers jobs, as relogin worker does, until stop is called.
func startWorker(ctx context.Context, nc *nats.Conn) (stop func(), err error) {
	q, err := queue.Open(ctx, nc, queue.Config{Namespace: "relogin"})
	if err != nil {
		return nil, err
	}
	taking, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for taking.Err() == nil {
			taken, _, err := q.Take(taking, job.Urgent, 1, 10*time.Second)
			if err != nil {
				log.Fatal(err)
			}
			for _, delivery := range taken {
				j, err := delivery.Job()
				if err != nil {
					log.Fatal(err)
				}
				if err := q.Publish(ctx, &job.Event{ID: j.EventID(), JobID: j.ID, WcID: j.WcID,
					Result: job.Result{Outcome: job.Succeeded, Prompted: true, FinishedAt: time.Now()}}); err != nil {
					log.Fatal(err)
				}
				delivery.Ack()
			}
		}
	}()
	return func() { cancel(); <-ended; q.Close() }, nil
}

// What a handler fails with comes again. A program that is started again under the same
// name goes on with the events that are not done yet.
func ExampleConsume() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		q, err := queue.Open(ctx, nc, queue.Config{Namespace: "relogin"})
		if err != nil {
			return err
		}
		defer q.Close()
		publish := func(id string, outcome job.Outcome) error { // what a worker does
			return q.Publish(ctx, &job.Event{ID: id, JobID: "job-of-" + id, WcID: "wxid_1",
				Result: job.Result{Outcome: outcome, FinishedAt: time.Now()}})
		}
		consume := func(enough string) error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			options := queue.ConsumeOptions{Name: "billing", MaxInFlight: 1, RetryPause: 10 * time.Millisecond}
			failed := false
			err := queue.Consume(ctx, nc, options, func(_ context.Context, e *job.Event) error {
				if e.Outcome == job.Failed && !failed {
					failed = true
					fmt.Println("no database:", e.ID)
					return errors.New("the database can't be reached")
				}
				fmt.Println("done:", e.ID, e.Outcome)
				if e.ID == enough {
					stop()
				}
				return nil
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		return errors.Join(
			publish("e1", job.Succeeded), publish("e2", job.Failed), consume("e2"),
			publish("e3", job.Expired), consume("e3"),
		)
	})
	// Output:
	// done: e1 succeeded
	// no database: e2
	// done: e2 failed
	// done: e3 expired
}
