package main

import (
	"context"
	"log"
	"strings"
	"time"

	"github.com/bsm/redislock"
	"github.com/nats-io/nats.go/jetstream"
)

// runFloor is the least: consume, call, publish with an id and wait for its ack, ack the
// job. Nothing keeps an account from being asked twice.
func runFloor(ctx context.Context, s *setting) error {
	return s.consume(ctx, func(js jetstream.JetStream, msg jetstream.Msg, j job) error {
		return s.process(ctx, js, msg, j)
	})
}

// runRedislock is the floor under a lock of github.com/bsm/redislock.
func runRedislock(ctx context.Context, s *setting) error {
	client, err := s.redis()
	if err != nil {
		return err
	}
	return s.consumeLocked(ctx, redislock.New(client))
}

// runPipelined has go-redis gather the calls of redislock in pipelines.
func runPipelined(ctx context.Context, s *setting) error {
	client, err := s.redis()
	if err != nil {
		return err
	}
	pipelined, err := client.AutoPipeline()
	if err != nil {
		return err
	}
	return s.consumeLocked(ctx, redislock.New(pipelined))
}

func (s *setting) consumeLocked(ctx context.Context, locks *redislock.Client) error {
	return s.consume(ctx, func(js jetstream.JetStream, msg jetstream.Msg, j job) error {
		return locked(ctx, locks, j, func() error { return s.process(ctx, js, msg, j) })
	})
}

func (s *setting) process(ctx context.Context, js jetstream.JetStream, msg jetstream.Msg, j job) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	r, event, err := s.confirm(ctx, j, meta.Timestamp)
	if err != nil {
		return err
	}
	if err := s.publish(ctx, js, r, event); err != nil {
		return err
	}
	return msg.Ack()
}

// consume handles as many jobs at once as are allowed, until ctx ends.
func (s *setting) consume(ctx context.Context, handle func(jetstream.JetStream, jetstream.Msg, job) error) error {
	nc, js, err := s.jetStream()
	if err != nil {
		return err
	}
	defer nc.Close()
	consumer, err := js.Consumer(ctx, strings.ToUpper(s.namespace)+"_JOBS", "normal")
	if err != nil {
		return err
	}
	slots := make(chan struct{}, s.atOnce)
	running, err := consumer.Consume(func(msg jetstream.Msg) {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			j, err := decodeJob(msg.Data())
			if err == nil {
				err = handle(js, msg, j)
			}
			if err != nil {
				log.Print(err)
				_ = msg.NakWithDelay(time.Second)
			}
		}()
	}, jetstream.PullMaxMessages(s.atOnce))
	if err != nil {
		return err
	}
	<-ctx.Done()
	running.Stop()
	return nil
}
