package queue

import (
	"context"
	"maps"

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

// UpdatePauses implements [worker.Pauses].
func (s *IncarnationStore) UpdatePauses(ctx context.Context, change func(trials map[worker.Credential]uint64)) error {
	var all []pausedCredential
	revision, err := s.load(ctx, pausesKey, &all)
	if err != nil {
		return err
	}
	trials := map[worker.Credential]uint64{}
	for _, one := range all {
		trials[one.Credential] = one.Trials
	}
	before := maps.Clone(trials)
	if change(trials); maps.Equal(trials, before) {
		return nil
	}
	all = []pausedCredential{}
	for credential, n := range trials {
		all = append(all, pausedCredential{credential, n})
	}
	return s.store(ctx, pausesKey, all, revision)
}
