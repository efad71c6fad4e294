package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nuid"
)

// leasesKey is the bucket's key that holds [registrations]. It is written by
// compare-and-set alone: a write that succeeds proves that what was read before it was
// the newest, which a read that a lagging replica answers does not.
const leasesKey = "leases"

// registrations are the leases under which pods may grant, in ms.
type registrations map[int64]registration

// registration says that pods grant under a lease.
type registration struct {
	Tag  string `json:"tag"`  // another one after each refresh
	Used bool   `json:"used"` // false: nobody has granted under it yet
}

// sighting is since when this process has seen a registration that was not refreshed.
type sighting struct {
	tag   string
	since time.Time
	told  bool // it was logged that its lease is not this pod's
}

// timing is what pods agree on. No clock of theirs is compared with another one's.
type timing struct {
	refresh  time.Duration // how often a pod refreshes its registration, about
	retry    time.Duration // how soon it tries again when that failed
	validity time.Duration // for how long it may grant after it last did
	settling time.Duration // for how long a lease that is longer than all others is not used yet
}

// A pod that registers a longer lease than all others did after somebody had looked for
// the longest waits for as long as a master that was cut off from its promoted replica
// may still grant: what it grants there is not in what was looked up.
var productionTiming = timing{
	refresh: 50 * time.Second, retry: 3 * time.Second, validity: 3 * time.Minute, settling: 15 * time.Second,
}

// Register has this pod's lease count: for as long as it is registered, and until the last prompt
// that was granted under it has died, a Redis server that may have lost locks grants nothing for
// at least that long. It blocks until the bucket has answered. [IncarnationStore.Run] keeps it.
func (s *IncarnationStore) Register(ctx context.Context, lease time.Duration) error {
	s.mu.Lock()
	s.lease = lease
	s.mu.Unlock()
	if _, err := s.look(ctx); err != nil {
		return fmt.Errorf("register lease: %w", err)
	}
	return nil
}

// Run refreshes the registration until ctx ends, and logs when pods' leases differ, and
// when this pod must not grant and may again.
func (s *IncarnationStore) Run(ctx context.Context, log *slog.Logger) {
	var err error
	for suspended := false; ; {
		s.tellDifferences(ctx, log)
		now := s.Suspended() > 0
		switch {
		case now && !suspended && err == nil:
			log.InfoContext(ctx, "this pod's lease is longer than the other pods': its confirmations start once all can know it", "in", s.times.settling)
		case now && !suspended:
			log.WarnContext(ctx, "this pod's lease could not be registered for too long: no confirmation starts until NATS stores it", "error", err)
		case !now && suspended:
			log.InfoContext(ctx, "this pod's lease is registered: its confirmations start")
		}
		suspended = now
		if !s.await(ctx) {
			return
		}
		_, err = s.look(ctx)
	}
}

// await blocks until the next look is due, by either clock. It returns false when ctx ends.
func (s *IncarnationStore) await(ctx context.Context) bool {
	for {
		s.mu.Lock()
		left := -sinceBothClocks(s.due)
		s.mu.Unlock()
		if left <= 0 {
			return ctx.Err() == nil
		}
		select {
		case <-time.After(min(left, s.times.retry)):
		case <-ctx.Done():
			return false
		}
	}
}

// Suspended returns 0 while this pod may grant, since its lease is registered and others
// reckon with it. Otherwise it must not, and the result is when to ask again.
func (s *IncarnationStore) Suspended() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sinceBothClocks(s.validFrom) < s.times.validity {
		return 0
	}
	return time.Second
}

// sinceBothClocks is how long ago t was by the monotonic or the wall clock, whichever
// says more: the first stands still while a machine sleeps, the second may be set.
func sinceBothClocks(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

// tellDifferences logs each other lease once for as long as it counts.
func (s *IncarnationStore) tellDifferences(ctx context.Context, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, seen := range s.sightings {
		if other != s.lease.Milliseconds() && !seen.told {
			log.WarnContext(ctx, "pods of this namespace differ in --confirm-timeout or --send-window: after a loss of Redis's data all wait for the longest lease, until it is over",
				"lease", s.lease, "other", time.Duration(other)*time.Millisecond)
			seen.told = true
			s.sightings[other] = seen
		}
	}
}

// look returns the longest lease that counts now, and refreshes this pod's registration.
func (s *IncarnationStore) look(ctx context.Context) (longest time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, leasesTimeout)
	defer cancel()
	for longer := 20 * time.Millisecond; ; longer = min(2*longer, time.Second) {
		if longest, err = s.tryLook(ctx); !errors.Is(err, errConflict) {
			break
		}
		select { // another pod was faster, or a replica lags
		case <-time.After(rand.N(longer)):
		case <-ctx.Done():
		}
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.due = time.Now().Add(s.times.retry/2 + rand.N(s.times.retry))
		return 0, fmt.Errorf("look up leases: %w", err)
	}
	return longest, nil
}

const leasesTimeout = 10 * time.Second

// tryLook's error wraps [errConflict] when what it read was not the newest.
func (s *IncarnationStore) tryLook(ctx context.Context) (time.Duration, error) {
	started, all := time.Now(), registrations{}
	revision, err := s.load(ctx, leasesKey, &all)
	if err != nil {
		return 0, err
	}
	added := s.review(all)
	if err := s.store(ctx, leasesKey, all, revision); err != nil {
		return 0, err
	}
	return s.proven(started, all, added), nil
}

// review takes out the leases that are over, and puts this pod's in. added: it was not there.
func (s *IncarnationStore) review(all registrations) (added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, own := time.Now(), s.lease.Milliseconds()
	sightings, covered := make(map[int64]sighting), false
	for lease, r := range all {
		seen := s.sightings[lease]
		if seen.tag != r.Tag {
			seen.tag, seen.since = r.Tag, now // it was refreshed before now, or just now
		}
		sightings[lease] = seen
		// By the monotonic clock alone, the one that never says too much.
		if lease != own && now.Sub(seen.since) > s.times.validity+time.Duration(lease)*time.Millisecond {
			delete(all, lease)
			continue
		}
		covered = covered || lease > own && r.Used // others grant under a longer one
	}
	s.sightings = sightings
	if own == 0 {
		return false
	}
	mine, there := all[own]
	switch {
	case !there:
		mine.Used = len(all) == 0 || covered
	case !s.since.IsZero() && time.Since(s.since) >= s.times.settling:
		mine.Used = true
	}
	mine.Tag = nuid.Next()
	all[own] = mine
	return !there
}

// proven keeps what a look that began at started has proven, and returns the longest lease.
func (s *IncarnationStore) proven(started time.Time, all registrations, added bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if added || s.since.IsZero() {
		s.since = now
	}
	if all[s.lease.Milliseconds()].Used {
		s.validFrom = started
		s.due = now.Add(s.times.refresh*4/5 + rand.N(s.times.refresh*2/5))
	} else {
		s.validFrom = time.Time{}
		s.due = now.Add(max(s.times.settling-now.Sub(s.since), 0) + time.Millisecond)
	}
	var longest int64
	for lease := range all {
		longest = max(longest, lease)
	}
	return time.Duration(longest) * time.Millisecond
}
