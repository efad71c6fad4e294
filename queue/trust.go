package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Trust remembers from when on the grants of each Redis server count, in the
// JetStream bucket <NAMESPACE>_REDIS: outside of Redis, and the same for all pods.
// It fulfils package cache's Trust.
type Trust struct{ bucket jetstream.KeyValue }

// OpenTrust returns the namespace's bucket, and creates it with that many replicas
// where it is missing.
func OpenTrust(ctx context.Context, nc *nats.Conn, namespace string, replicas int) (*Trust, error) {
	return openTrust(ctx, nc, namespace, replicas, "")
}

func openTrust(ctx context.Context, nc *nats.Conn, namespace string, replicas int, owner string) (*Trust, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open trust: %w", err)
	}
	name := strings.ToUpper(namespace) + "_REDIS"
	bucket, err := js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, Replicas: replicas, Metadata: ownedBy(owner),
			Description: "from when on the grants of each Redis server count",
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return &Trust{bucket}, nil
}

// CountsFrom returns from when on, by the server's clock, the grants of what has that
// name count. The first one of a kind has always counted, any other one that is new
// counts from now + wait. It blocks until the bucket has answered. Kinds and names
// consist of A-Z a-z 0-9 _ - alone.
func (t *Trust) CountsFrom(ctx context.Context, kind, name string, now time.Time, wait time.Duration) (time.Time, error) {
	first, err := t.settle(ctx, kind+".first", name)
	if err != nil {
		return time.Time{}, err
	}
	from := now.Add(wait)
	if first == name {
		from = time.Unix(0, 0) // pods that start together read the clock one after the other
	}
	key := kind + "." + name
	stored, err := t.settle(ctx, key, from.Format(time.RFC3339Nano))
	if err != nil {
		return time.Time{}, err
	}
	from, err = time.Parse(time.RFC3339Nano, stored)
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s in bucket %s: %w", key, t.bucket.Bucket(), err)
	}
	return from, nil
}

// settle stores the value unless the key has one, and returns what the key has.
func (t *Trust) settle(ctx context.Context, key, value string) (string, error) {
	entry, err := t.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if _, err = t.bucket.Create(ctx, key, []byte(value)); err == nil {
			return value, nil
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
