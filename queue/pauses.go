package queue

import (
	"context"
	"errors"
	"maps"

	"github.com/relogin/relogin/worker/job"
)

// pausesKey is where the bucket <NAMESPACE>_REDIS has the refused credentials of tenants
// that are paused: a JSON list of pausedCredential.
const pausesKey = "paused"

type pausedCredential struct {
	job.Credential
	Trials uint64 `json:"trials"`
}

// UpdatePauses implements the worker's Pauses.
func (s *IncarnationStore) UpdatePauses(ctx context.Context, change func(trials map[job.Credential]uint64)) (stored bool, err error) {
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
