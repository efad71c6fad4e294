package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// incarnation names what the server remembers. It is a key that begin.lua compares with what
// the pod knows, so that nothing is granted once FLUSHALL, or whatever else, has taken
// the keys from a process that goes on. A Cluster has none: no script may read both an
// account's slot and the incarnation's.
type incarnation struct {
	key        string
	redis      redis.UniversalClient
	quarantine *quarantine

	mu    sync.Mutex // held by who learns it
	known atomic.Pointer[string]
}

func newIncarnation(r redis.UniversalClient, namespace string, quarantine *quarantine) *incarnation {
	m := &incarnation{key: incarnationKey(namespace), redis: r, quarantine: quarantine}
	m.known.Store(new(string))
	return m
}

const incarnationName = ":mark"

func incarnationKey(namespace string) string { return namespace + incarnationName }

// name returns the incarnation that this pod knows, "" where there is none.
func (m *incarnation) name() string {
	if m == nil {
		return ""
	}
	return *m.known.Load()
}

// learnIncarnation learns the server's incarnation in place of the one that is no longer there, sets a
// new one where the server has none, and has it admitted.
func (c *Client) learnIncarnation(ctx context.Context, gone string) error {
	m := c.incarnation
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.name() != gone {
		return nil // another caller has learnt it meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	pipe := m.redis.Pipeline()
	set := pipe.SetArgs(ctx, m.key, uuid.NewString(), redis.SetArgs{Mode: "NX"})
	found, now := pipe.Get(ctx, m.key), pipe.Time(ctx)
	_, failed := pipe.Exec(ctx)
	there := set.Err()
	if isNil(there) {
		there = nil // somebody had set one
	}
	if err := errors.Join(there, found.Err(), now.Err()); err != nil {
		return fmt.Errorf("learn redis's incarnation: %w", err)
	}
	name := found.Val()
	if name == "" {
		return fmt.Errorf("learn redis's incarnation: %w", notRun(failed))
	}
	if err := m.quarantine.admit(ctx, memory, name, now.Val(), 0, noSlots); err != nil {
		return err
	}
	m.known.Store(&name)
	return nil
}

// noSlots are those of a server that is no part of a Cluster.
func noSlots() []redis.ClusterSlot { return nil }
