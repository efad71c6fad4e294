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

// mark names what the server remembers. It is a key that begin.lua compares with what
// the pod knows, so that nothing is granted once FLUSHALL, or whatever else, has taken
// the keys from a process that goes on. A Cluster has none: no script may read both an
// account's slot and the mark's.
type mark struct {
	key     string
	redis   redis.UniversalClient
	trusted *quarantine

	mu    sync.Mutex // held by who learns the mark
	known atomic.Pointer[string]
}

func newMark(r redis.UniversalClient, namespace string, trusted *quarantine) *mark {
	m := &mark{key: markKey(namespace), redis: r, trusted: trusted}
	m.known.Store(new(string))
	return m
}

const markName = ":mark"

func markKey(namespace string) string { return namespace + markName }

// name returns the mark that this pod knows, "" where there is none.
func (m *mark) name() string {
	if m == nil {
		return ""
	}
	return *m.known.Load()
}

// recall learns the server's mark in place of the one that is no longer there, sets a
// new one where the server has none, and has it admitted.
func (c *Client) recall(ctx context.Context, gone string) error {
	m := c.mark
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
		return fmt.Errorf("learn redis's mark: %w", err)
	}
	name := found.Val()
	if name == "" {
		return fmt.Errorf("learn redis's mark: %w", notRun(failed))
	}
	if err := m.trusted.admit(ctx, memory, name, now.Val(), 0, noSlots); err != nil {
		return err
	}
	m.known.Store(&name)
	return nil
}

// noSlots are those of a server that is no part of a Cluster.
func noSlots() []redis.ClusterSlot { return nil }
