package queue

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Register has this pod's lease count: for as long as it is registered, and until the
// last prompt that was granted under it has died, a Redis server that may have lost locks
// grants nothing for at least that long. It blocks until the bucket has answered. [Trust.Run]
// keeps the registration.
func (t *Trust) Register(ctx context.Context, lease time.Duration) error {
	t.mu.Lock()
	t.lease = lease
	t.mu.Unlock()
	if _, err := t.look(ctx); err != nil {
		return fmt.Errorf("register lease: %w", err)
	}
	return nil
}

// Run refreshes the registration until ctx ends, and logs when pods' leases differ, and
// when this pod must not grant and may again.
func (t *Trust) Run(ctx context.Context, log *slog.Logger) {
	var err error
	for suspended := false; ; {
		t.tellDifferences(ctx, log)
		now := t.Suspended() > 0
		switch {
		case now && !suspended && err == nil:
			log.InfoContext(ctx, "this pod's lease is longer than the other pods': its confirmations start once all can know it", "in", t.times.settling)
		case now && !suspended:
			log.WarnContext(ctx, "this pod's lease could not be registered for too long: no confirmation starts until NATS stores it", "error", err)
		case !now && suspended:
			log.InfoContext(ctx, "this pod's lease is registered: its confirmations start")
		}
		suspended = now
		if !t.await(ctx) {
			return
		}
		_, err = t.look(ctx)
	}
}

// await blocks until the next look is due, at once where the machine has slept. It returns
// false when ctx ends.
func (t *Trust) await(ctx context.Context) bool {
	due, tick := time.After(t.pause()), time.NewTicker(t.times.retry)
	defer tick.Stop()
	for {
		select {
		case <-due:
			return true
		case <-tick.C:
			if t.lapsed() {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// lapsed tells whether the registration is no longer valid.
func (t *Trust) lapsed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.proof.used && sinceBothClocks(t.proof.at) >= t.times.validity
}

// pause returns how long to wait before the next look.
func (t *Trust) pause() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.failed:
		return t.times.retry/2 + rand.N(t.times.retry)
	case t.proof.used:
		return t.times.refresh*4/5 + rand.N(t.times.refresh*2/5)
	}
	return max(t.times.settling-time.Since(t.since), 0) + time.Millisecond
}

// Suspended returns 0 while this pod may grant, since its lease is registered and others
// reckon with it. Otherwise it must not, and the result is when to ask again.
func (t *Trust) Suspended() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.proof.used && sinceBothClocks(t.proof.at) < t.times.validity {
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
func (t *Trust) tellDifferences(ctx context.Context, log *slog.Logger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := make(map[int64]bool)
	for _, other := range t.others {
		told[other] = true
		if !t.told[other] {
			log.WarnContext(ctx, "pods of this namespace differ in --confirm-timeout or --send-window: after a loss of Redis's data all wait for the longest lease, until it is over",
				"lease", t.lease, "other", time.Duration(other)*time.Millisecond)
		}
	}
	t.told = told
}
