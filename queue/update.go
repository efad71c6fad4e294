package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	growthPatience = time.Minute
	growthPause    = 200 * time.Millisecond
)

// Update changes what [Check] finds wrong wherever NATS can change it in place, and
// returns what it has changed, also with an error. It creates nothing, and leaves alone
// streams that are somebody else's. A job that a consumer has delayed may come too early
// or too late when that consumer is changed. It blocks until the streams that shall be
// kept by more servers are, for at most a minute: they acknowledge nothing until then.
func Update(ctx context.Context, nc *nats.Conn, c Config) (changed []Finding, err error) {
	p, err := newPlan(nc, &c)
	if err == nil {
		_, err = p.check(ctx) // before the first change
	}
	if err != nil {
		return nil, fmt.Errorf("update queue: %w", err)
	}
	var failed []error
	for _, one := range p.parts {
		some, err := one.mend(ctx)
		changed, failed = append(changed, some...), append(failed, err)
	}
	if slices.ContainsFunc(changed, func(f Finding) bool { return f.Property == "num_replicas" }) {
		failed = append(failed, p.awaitGrowth(ctx))
	}
	if err := errors.Join(failed...); err != nil {
		return changed, fmt.Errorf("update queue: %w", err)
	}
	return changed, nil
}

func (p *plan) awaitGrowth(ctx context.Context) error {
	late := fmt.Errorf("they are not up to date after %v", growthPatience)
	ctx, cancel := context.WithTimeoutCause(ctx, growthPatience, late)
	defer cancel()
	for _, name := range p.names.all() {
		for !p.grown(ctx, name) {
			select {
			case <-time.After(growthPause):
			case <-ctx.Done():
				return fmt.Errorf("wait for the replicas of stream %s: %w", name, context.Cause(ctx))
			}
		}
	}
	return nil
}

// grown tells whether as many servers have all of the stream as it is told to have.
func (p *plan) grown(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	stream, err := p.js.Stream(ctx, name)
	if err != nil {
		return errors.Is(err, jetstream.ErrStreamNotFound)
	}
	info, have := stream.CachedInfo(), 1
	if info.Cluster != nil {
		for _, replica := range info.Cluster.Replicas {
			if replica.Current && !replica.Offline {
				have++
			}
		}
	}
	return have >= info.Config.Replicas
}
