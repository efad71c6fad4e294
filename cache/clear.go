package cache

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Clear deletes every key of the namespace. It looks at all keys of the server to find
// them. Pods that still work in the namespace would take that for a loss of data: it is for
// who had the namespace alone. After an error, call it again.
func (c *Client) Clear(ctx context.Context) error {
	if err := c.eachMaster(ctx, c.clearNode); err != nil {
		return fmt.Errorf("clear namespace %s: %w", c.opts.Namespace, err)
	}
	return nil
}

func (c *Client) clearNode(ctx context.Context, node *redis.Client) error {
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, c.opts.Namespace+":*", batchSize).Result()
		if err == nil && len(keys) > 0 {
			_, err = node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
				for _, key := range keys { // a command may not have keys of several slots
					pipe.Unlink(ctx, key)
				}
				return nil
			})
		}
		if err != nil || next == 0 {
			return err
		}
		cursor = next
	}
}
