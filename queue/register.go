package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Register has this pod's lease count: for as long as it is registered, and until the
// last prompt that was granted under it has died, a Redis server that may have lost locks
// grants nothing for at least that long. It blocks until the bucket has answered. [IncarnationStore.Run]
// keeps the registration.
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

// await blocks until the next look is due, by either clock, so that it is at once where the
// machine has slept. It returns false when ctx ends.
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
	if s.proof.used && sinceBothClocks(s.proof.at) < s.times.validity {
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
