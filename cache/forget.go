package cache

import (
	"context"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker"
)

// Marked tells whether the server has the namespace's incarnation: whether pods have worked in
// it. A Cluster has none.
func (c *Client) Marked(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	n, err := c.redis.Exists(ctx, incarnationKey(c.opts.Namespace)).Result()
	if err != nil {
		return false, fmt.Errorf("look for redis's incarnation: %w", err)
	}
	return n > 0, nil
}

// Forget deletes all that is kept of these jobs and of their accounts, of what pods of
// this client's name rehearsed, and the namespace's incarnation. Pods that still work in the
// namespace would take that for a loss of data: it is for who had the namespace alone.
// No more than a batch is sent at once. After an error, call it again.
func (c *Client) Forget(ctx context.Context, jobs iter.Seq[*worker.Job]) error {
	if err := c.tidied(ctx); err != nil { // else a key could come back
		return fmt.Errorf("forget jobs: %w", err)
	}
	batch := [][]string{{incarnationKey(c.opts.Namespace)}, c.everything(&worker.Job{ID: c.opts.Pod})}
	for j := range jobs {
		if batch = append(batch, c.everything(j)); len(batch) < batchSize {
			continue
		}
		if err := c.del(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return c.del(ctx, batch)
}

// everything returns the keys of the job and of its account, all in one slot.
func (c *Client) everything(j *worker.Job) []string {
	k := c.keys(j.WcID)
	return []string{k.job(j.ID), k.snoozed(j.ID), k.lock(), k.waiting(), k.last(j.Tenant), k.cool(), k.prompts()}
}

// del deletes the keys of each element in a command of its own.
func (c *Client) del(ctx context.Context, batch [][]string) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	_, err := c.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, keys := range batch {
			pipe.Del(ctx, keys...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget jobs: %w", err)
	}
	return nil
}
