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
	"github.com/relogin/relogin/worker"
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
		job := &worker.Job{WcID: "wxid_1", ID: "order-7", Deadline: time.Now().Add(10 * time.Minute)}
		for range 2 {
			stored, err := publisher.Publish(ctx, job, worker.Urgent)
			if err != nil {
				return err
			}
			fmt.Println(stored.Sequence, stored.Duplicate)
		}
		_, err = publisher.Publish(ctx, &worker.Job{}, worker.Urgent)
		fmt.Println(errors.Is(err, worker.ErrInvalidJob))
		return nil
	})
	// Output:
	// 1 false
	// 1 true
	// true
}

func ExamplePublisher_PublishAll() {
	connected(func(ctx context.Context, nc *nats.Conn) error {
		publisher, err := queue.NewPublisher(nc, "relogin")
		if err != nil {
			return err
		}
		jobs := func(yield func(*worker.Job) bool) {
			for i := range 5000 {
				if !yield(&worker.Job{WcID: fmt.Sprintf("wxid_%d", i)}) {
					return
				}
			}
		}
		stored, failed := 0, 0
		err = publisher.PublishAll(ctx, worker.Normal, jobs, func(_ *worker.Job, _ queue.Stored, err error) {
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
		q, err := queue.Open(ctx, nc, queue.Config{Namespace: "relogin", EventEncoding: worker.EncodingJSON})
		if err != nil {
			return err
		}
		defer q.Close()
		answer := func() { // what a worker does
			err := q.Publish(ctx, &worker.Event{ID: "e1", JobID: "order-7", WcID: "wxid_1",
				Result: worker.Result{Outcome: worker.Succeeded, Prompted: true, FinishedAt: time.Now()}})
			if err != nil {
				log.Fatal(err)
			}
		}
		enough := errors.New("enough")
		err = queue.Follow(ctx, nc, queue.FollowOptions{Namespace: "relogin", Account: "wxid_1", Ready: answer},
			func(e *worker.Event) error {
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
