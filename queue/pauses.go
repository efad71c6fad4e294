package queue

import (
	"context"

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
	var all []pausedCredential
	revision, err := s.load(ctx, pausesKey, &all)
	if err != nil {
		return nil, 0, err
	}
	trials := map[worker.Credential]uint64{}
	for _, one := range all {
		trials[one.Credential] = one.Trials
	}
	return trials, revision, nil
}

// StorePauses implements [worker.Pauses].
func (s *IncarnationStore) StorePauses(ctx context.Context, trials map[worker.Credential]uint64, revision uint64) error {
	all := []pausedCredential{}
	for credential, n := range trials {
		all = append(all, pausedCredential{credential, n})
	}
	return s.store(ctx, pausesKey, all, revision)
}
