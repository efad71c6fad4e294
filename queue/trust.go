package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Trust remembers from when on the grants of each Redis server count, and under which
// leases pods grant, in the JetStream bucket <NAMESPACE>_REDIS: outside of Redis, and the
// same for all pods. There it also keeps which tenants are paused, as [worker.Pauses].
// It fulfils package cache's Trust, and is safe for concurrent use.
type Trust struct {
	bucket jetstream.KeyValue
	times  timing

	mu        sync.Mutex
	lease     time.Duration // this pod's; 0: it is not registered, and grants nothing
	failed    bool          // the last look did
	proof     proof
	since     time.Time // when this pod first knew that its lease is registered
	sightings map[int64]sighting
	others    []int64        // leases of other pods, in ms
	told      map[int64]bool // those that were logged
}

// OpenTrust returns the namespace's bucket, and creates it with that many replicas
// where it is missing. An empty namespace is the default.
func OpenTrust(ctx context.Context, nc *nats.Conn, namespace string, replicas int) (*Trust, error) {
	return openTrust(ctx, nc, namespace, replicas, "")
}

func openTrust(ctx context.Context, nc *nats.Conn, namespace string, replicas int, owner string) (*Trust, error) {
	n, err := newNames(namespace)
	if err != nil {
		return nil, fmt.Errorf("open trust: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open trust: %w", err)
	}
	name := n.bucket()
	bucket, err := js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, Replicas: replicas, Metadata: ownedBy(owner),
			Description: "from when on the grants of each Redis server count, and the leases of pods",
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return &Trust{bucket: bucket, times: productionTiming}, nil
}

// First has these names of the kind count from the beginning, unless the kind has a first
// name already. It blocks until the bucket has answered.
func (t *Trust) First(ctx context.Context, kind string, names ...string) error {
	_, err := t.settle(ctx, kind+".first", func() (string, error) { return strings.Join(names, " "), nil })
	return err
}

// CountsFrom returns from when on, by the server's clock, the grants of what has that
// name count. The first one of a kind has always counted, any other one that is new
// counts once the longest lease that any pod may have granted is over, and extra. The
// result is never further ahead of now than that, also when the server's clock was set
// back. It blocks until the bucket has answered. Kinds and names consist of
// A-Z a-z 0-9 _ - alone.
func (t *Trust) CountsFrom(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error) {
	from, err := t.countsFrom(ctx, kind, name, now, extra)
	if err != nil || from.Sub(now) <= t.own()+extra {
		return from, err
	}
	longest, err := t.look(ctx)
	if last := now.Add(longest + extra); from.After(last) {
		from = last
	}
	return from, err
}

// own returns this pod's lease.
func (t *Trust) own() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lease
}

func (t *Trust) countsFrom(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error) {
	first, err := t.settle(ctx, kind+".first", func() (string, error) { return name, nil })
	if err != nil {
		return time.Time{}, err
	}
	key := kind + "." + name
	stored, err := t.settle(ctx, key, func() (string, error) {
		if slices.Contains(strings.Fields(first), name) {
			return time.Unix(0, 0).Format(time.RFC3339Nano), nil // pods that start together read the clock one after the other
		}
		longest, err := t.look(ctx)
		return now.Add(longest + extra).Format(time.RFC3339Nano), err
	})
	if err != nil {
		return time.Time{}, err
	}
	from, err := time.Parse(time.RFC3339Nano, stored)
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s in bucket %s: %w", key, t.bucket.Bucket(), err)
	}
	return from, nil
}

// settle stores the value unless the key has one, and returns what the key has.
func (t *Trust) settle(ctx context.Context, key string, value func() (string, error)) (string, error) {
	entry, err := t.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		var text string
		if text, err = value(); err != nil {
			return "", err
		}
		if _, err = t.bucket.Create(ctx, key, []byte(text)); err == nil {
			return text, nil
		}
		if errors.Is(err, jetstream.ErrKeyExists) {
			entry, err = t.bucket.Get(ctx, key)
		}
	}
	if err != nil {
		return "", fmt.Errorf("settle %s in bucket %s: %w", key, t.bucket.Bucket(), err)
	}
	return string(entry.Value()), nil
}
