package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

// pausesKey is where the bucket <NAMESPACE>_REDIS has the refused credentials of tenants
// that are paused: a JSON list of pausedCredential.
const pausesKey = "paused"

type pausedCredential struct {
	worker.Credential
	Trials uint64 `json:"trials"`
}

var _ worker.Pauses = (*IncarnationStore)(nil)

// LoadPauses implements [worker.Pauses].
func (s *IncarnationStore) LoadPauses(ctx context.Context) (map[worker.Credential]uint64, uint64, error) {
	trials := map[worker.Credential]uint64{}
	entry, err := s.bucket.Get(ctx, pausesKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return trials, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("read %s in bucket %s: %w", pausesKey, s.bucket.Bucket(), err)
	}
	var all []pausedCredential
	if err := json.Unmarshal(entry.Value(), &all); err != nil {
		return nil, 0, fmt.Errorf("read %s in bucket %s: %w", pausesKey, s.bucket.Bucket(), err)
	}
	for _, one := range all {
		trials[one.Credential] = one.Trials
	}
	return trials, entry.Revision(), nil
}

// StorePauses implements [worker.Pauses].
func (s *IncarnationStore) StorePauses(ctx context.Context, trials map[worker.Credential]uint64, revision uint64) error {
	all := []pausedCredential{}
	for credential, n := range trials {
		all = append(all, pausedCredential{credential, n})
	}
	slices.SortFunc(all, func(a, b pausedCredential) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	value, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode paused tenants: %w", err)
	}
	if revision == 0 {
		_, err = s.bucket.Create(ctx, pausesKey, value)
	} else {
		_, err = s.bucket.Update(ctx, pausesKey, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return fmt.Errorf("store %s in bucket %s: %w", pausesKey, s.bucket.Bucket(), worker.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("store %s in bucket %s: %w", pausesKey, s.bucket.Bucket(), err)
	}
	return nil
}
