package main

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/hibiken/asynq"
)

// runAsynq takes jobs from asynq's queue in Redis, under redislock, and publishes to
// JetStream.
func runAsynq(ctx context.Context, s *setting) error {
	client, err := s.redis()
	if err != nil {
		return err
	}
	defer client.Close()
	nc, js, err := s.jetStream()
	if err != nil {
		return err
	}
	defer nc.Close()
	locks := redislock.New(client)
	server := asynq.NewServerFromRedisClient(client, asynq.Config{Concurrency: s.atOnce, LogLevel: asynq.ErrorLevel})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		j, err := decodeJob(task.Payload())
		if err != nil {
			return err
		}
		return locked(ctx, locks, j, func() error {
			r, event, err := s.confirm(ctx, j, time.Now())
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
