package main

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
)

// runAsynq takes jobs from asynq's queue in Redis, under redislock, and publishes to
// JetStream.
func runAsynq(ctx context.Context, s *setting) error {
	locks, err := s.locker()
	if err != nil {
		return err
	}
	nc, js, err := s.jetStream()
	if err != nil {
		return err
	}
	defer nc.Close()
	o, err := asynq.ParseRedisURI(s.redisURL)
	if err != nil {
		return err
	}
	server := asynq.NewServer(o, asynq.Config{Concurrency: atOnce, LogLevel: asynq.ErrorLevel})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		return locked(ctx, locks, account(task.Payload()), func() error {
			r, event, err := s.confirm(ctx, task.Payload(), time.Now())
			if err != nil {
				return err
			}
			return s.publish(ctx, js, r, event)
		})
	}))
	if err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
