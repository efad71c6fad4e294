package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"
)

// job is what upstream systems publish.
type job struct {
	ID   string `msgpack:"id"`
	WcID string `msgpack:"wcId"`
}

func (j job) encode() []byte {
	data, err := msgpack.Marshal(j)
	if err != nil {
		panic(err) // two strings
	}
	return data
}

func decodeJob(body []byte) (j job, err error) {
	err = msgpack.Unmarshal(body, &j)
	return j, err
}

// distinct names an account for each job.
func distinct(i int) string { return fmt.Sprintf("wxid_%012d", i) }

// enqueue stores n jobs, of the accounts that account names.
func (c *contest) enqueue(ctx context.Context, n int, account func(i int) string) error {
	if c.name == "asynq" {
		return c.enqueueTasks(ctx, n, account)
	}
	return c.enqueueFrom(ctx, 0, n, account)
}

// enqueueFrom stores n jobs, numbered from first.
func (c *contest) enqueueFrom(ctx context.Context, first, n int, account func(i int) string) error {
	var last jetstream.PubAckFuture
	for i := first; i < first+n; i++ {
		var err error
		if last, err = c.js.PublishMsgAsync(c.message(job{fmt.Sprintf("job-%d", i), account(i)})); err != nil {
			return fmt.Errorf("publish job: %w", err)
		}
	}
	select {
	case <-c.js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-last.Ok():
		return nil
	case err := <-last.Err():
		return fmt.Errorf("publish job: %w", err)
	}
}

// message is what relogin's own publisher makes of a job.
func (c *contest) message(j job) *nats.Msg {
	return &nats.Msg{Subject: c.namespace + ".jobs.normal", Data: j.encode(),
		Header: nats.Header{"Content-Type": {"application/msgpack"}, nats.MsgIdHdr: {j.WcID + "/" + j.ID}}}
}

func (c *contest) enqueueTasks(ctx context.Context, n int, account func(i int) string) error {
	o, err := asynq.ParseRedisURI(c.redisURL)
	if err != nil {
		return err
	}
	client := asynq.NewClient(o)
	defer client.Close()
	ids := make(chan int)
	failed := make(chan error, 16)
	for range cap(failed) {
		go func() {
			var err error
			for i := range ids {
				if _, one := client.EnqueueContext(ctx, asynq.NewTask("relogin", job{fmt.Sprintf("job-%d", i), account(i)}.encode())); one != nil {
					err = one
				}
			}
			failed <- err
		}()
	}
	for i := range n {
		ids <- i
	}
	close(ids)
	for range cap(failed) {
		if one := <-failed; one != nil {
			err = one
		}
	}
	return err
}

// events is how many the stream holds, and when the last one was stored.
func (c *contest) events(ctx context.Context) (int, time.Time, error) {
	stream, err := c.js.Stream(ctx, c.stream("EVENTS"))
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count events: %w", err)
	}
	state := stream.CachedInfo().State
	return int(state.Msgs), state.LastTime, nil
}

// await blocks until the stream has n events.
func (c *contest) await(ctx context.Context, n int) error {
	quiet, have := time.Now(), -1
	for {
		got, _, err := c.events(ctx)
		switch {
		case err != nil:
			return err
		case got >= n:
			return nil
		case got != have:
			quiet, have = time.Now(), got
		case time.Since(quiet) > time.Minute:
			return fmt.Errorf("%s: no event for a minute, %d of %d are there", c.name, got, n)
		}
		for _, p := range c.pods {
			if p.ended() {
				return fmt.Errorf("%s ended: see %s", c.name, c.dir)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}
