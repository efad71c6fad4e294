package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// IncarnationStore keeps, in the JetStream bucket <NAMESPACE>_REDIS, when the lock-delay of each
// incarnation of a Redis server ends, and under which leases pods grant: outside of Redis, and
// the same for all pods. There it also keeps which tenants wait because their credential is refused, as worker.SharedRefusals. It
// implements package cache's IncarnationStore, and is safe for concurrent use.
type IncarnationStore struct {
	bucket jetstream.KeyValue
	times  timing

	mu        sync.Mutex
	lease     time.Duration // this pod's; 0: it is not registered, and grants nothing
	due       time.Time     // the next look
	validFrom time.Time     // the beginning of the last look, if that has proven that this pod may grant
	since     time.Time     // when this pod first knew that its lease is registered
	sightings map[int64]sighting
}

// OpenIncarnationStore opens the bucket that [Setup] has created. An empty namespace is the default.
func OpenIncarnationStore(ctx context.Context, nc *nats.Conn, namespace string) (*IncarnationStore, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("open incarnation store: %w", err)
	}
	bucket, err := c.js.KeyValue(ctx, c.names.redis())
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", c.names.redis(), err)
	}
	return &IncarnationStore{bucket: bucket, times: productionTiming}, nil
}

// First is specified by package cache's IncarnationStore. It blocks until the bucket has answered.
func (s *IncarnationStore) First(ctx context.Context, kind string, names ...string) error {
	_, err := s.settle(ctx, kind+".first", func() (string, error) { return strings.Join(names, " "), nil })
	return err
}

// LockDelayEnds is specified there too. It blocks until the bucket has answered. Kinds and names
// consist of A-Z a-z 0-9 _ - alone.
func (s *IncarnationStore) LockDelayEnds(ctx context.Context, kind, name string, now time.Time, extra time.Duration) (time.Time, error) {
	first, err := s.settle(ctx, kind+".first", func() (string, error) { return name, nil })
	if err != nil {
		return time.Time{}, err
	}
	key := kind + "." + name
	stored, err := s.settle(ctx, key, func() (string, error) {
		if slices.Contains(strings.Fields(first), name) {
			return time.Unix(0, 0).Format(time.RFC3339Nano), nil // pods that start together read the clock one after the other
		}
		longest, err := s.look(ctx)
		return now.Add(longest + extra).Format(time.RFC3339Nano), err
	})
	if err != nil {
		return time.Time{}, err
	}
	from, err := time.Parse(time.RFC3339Nano, stored)
	if err != nil {
		return time.Time{}, fmt.Errorf("read %s in bucket %s: %w", key, s.bucket.Bucket(), err)
	}
	s.mu.Lock()
	own := s.lease
	s.mu.Unlock()
	if from.Sub(now) <= own+extra {
		return from, nil
	}
	longest, err := s.look(ctx)
	if last := now.Add(longest + extra); from.After(last) {
		from = last
	}
	return from, err
}

// settle stores the value unless the key has one, and returns what the key has.
func (s *IncarnationStore) settle(ctx context.Context, key string, value func() (string, error)) (string, error) {
	entry, err := s.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		var text string
		if text, err = value(); err == nil {
			_, err = s.bucket.Create(ctx, key, []byte(text))
		}
		if err == nil {
			return text, nil
		}
		if errors.Is(err, jetstream.ErrKeyExists) {
			entry, err = s.bucket.Get(ctx, key)
		}
	}
	if err != nil {
		return "", fmt.Errorf("settle %s in bucket %s: %w", key, s.bucket.Bucket(), err)
	}
	return string(entry.Value()), nil
}

// load decodes the JSON that the key has into value, and returns its revision: 0 where there is none.
func (s *IncarnationStore) load(ctx context.Context, key string, value any) (revision uint64, err error) {
	entry, err := s.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s in bucket %s: %w", key, s.bucket.Bucket(), err)
	}
	if err := json.Unmarshal(entry.Value(), value); err != nil {
		return 0, fmt.Errorf("read %s in bucket %s: not what pods write there, delete it once no confirmation is open: %w", key, s.bucket.Bucket(), err)
	}
	return entry.Revision(), nil
}

// errConflict is returned to who was overtaken by another pod.
var errConflict = errors.New("another pod was faster")

// store has the key hold the value as JSON. At another revision the error wraps errConflict.
func (s *IncarnationStore) store(ctx context.Context, key string, value any, revision uint64) error {
	data, err := json.Marshal(value)
	if err == nil && revision == 0 {
		_, err = s.bucket.Create(ctx, key, data)
	} else if err == nil {
		_, err = s.bucket.Update(ctx, key, data, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = errConflict
	}
	if err != nil {
		return fmt.Errorf("store %s in bucket %s: %w", key, s.bucket.Bucket(), err)
	}
	return nil
}

// pausesKey holds the refused credentials of paused tenants: a JSON list of pausedCredential.
const pausesKey = "paused"

type pausedCredential struct {
	job.Credential
	Trials uint64 `json:"trials"`
}

// UpdateRefusals implements worker.SharedRefusals.
func (s *IncarnationStore) UpdateRefusals(ctx context.Context, change func(trials map[job.Credential]uint64)) (stored bool, err error) {
	var all []pausedCredential
	revision, err := s.load(ctx, pausesKey, &all)
	if err != nil {
		return false, err
	}
	trials := map[job.Credential]uint64{}
	for _, one := range all {
		trials[one.Credential] = one.Trials
	}
	before := maps.Clone(trials)
	if change(trials); maps.Equal(trials, before) {
		return true, nil
	}
	all = []pausedCredential{}
	for credential, n := range trials {
		all = append(all, pausedCredential{credential, n})
	}
	err = s.store(ctx, pausesKey, all, revision)
	if errors.Is(err, errConflict) {
		return false, nil
	}
	return err == nil, err
}
