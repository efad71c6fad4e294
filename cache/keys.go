package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker/job"
)

// keys of an account.
type keys struct{ namespace, account string }

func (c *Client) keys(wcID string) keys { return keys{c.opts.Namespace, job.AccountToken(wcID)} }

// The names of keys, after the account. Those that end in a colon are followed by what they are of.
const (
	lockName    = "lock"
	lastName    = "last:"
	coolName    = "cool"
	promptsName = "prompts"
	waitingName = "waiting"
	jobName     = "job:"
	snoozedName = "excused:"
)

func (k keys) key(name, of string) string { return k.namespace + ":{" + k.account + "}:" + name + of }

func (k keys) lock() string { return k.key(lockName, "") }

// slots is how many slots a Cluster has.
const slots = 16384

// slot returns the Cluster's slot of the account's keys: the CRC-16 (XMODEM) of what is
// between the braces.
func (k keys) slot() int {
	var crc uint16
	for _, b := range []byte(k.account) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % slots)
}

// slotOf returns the account's slot in a Cluster, [anySlot] elsewhere.
func (c *Client) slotOf(wcID string) int {
	if c.cluster == nil {
		return anySlot
	}
	return c.keys(wcID).slot()
}

// Clear deletes every key of the namespace. It looks at all keys of the server to find
// them. Pods that still work in the namespace would take that for a loss of data: it is for
// who had the namespace alone. After an error, call it again.
func (c *Client) Clear(ctx context.Context) error {
	err := c.eachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		pipe, found := node.Pipeline(), node.Scan(ctx, 0, c.opts.Namespace+":*", batchSize).Iterator()
		for found.Next(ctx) {
			pipe.Unlink(ctx, found.Val()) // each alone: a command may not have keys of several slots
			if pipe.Len() < batchSize {
				continue
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		_, err := pipe.Exec(ctx)
		return errors.Join(found.Err(), err)
	})
	if err != nil {
		return fmt.Errorf("clear namespace %s: %w", c.opts.Namespace, err)
	}
	return nil
}
