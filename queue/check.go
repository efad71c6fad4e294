package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Severity is how much a [Finding] matters.
type Severity string

// Severities.
const (
	Missing Severity = "missing" // it is not there: workers can't start
	Breaks  Severity = "breaks"  // what is promised does not hold: workers do not start
	Differs Severity = "differs" // it is not as the settings say
	Changed Severity = "changed" // it was not, until Update
)

// Finding is something that is not as [Setup] makes it.
type Finding struct {
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`              // stream RELOGIN_JOBS, consumer urgent of stream RELOGIN_JOBS
	Property string   `json:"property,omitempty"` // its name in NATS's JSON; none where all of it is missing
	Has      string   `json:"has,omitempty"`
	Wanted   string   `json:"wanted,omitempty"`
	Why      string   `json:"why,omitempty"`    // it matters
	Remedy   string   `json:"remedy,omitempty"` // the command, or what else is to be done
}

// String returns it as a line.
func (f Finding) String() string {
	switch f.Severity {
	case Changed:
		return fmt.Sprintf("%s: %s is now %s, and was %s", f.Where, f.Property, f.Wanted, f.Has)
	case Missing:
		return fmt.Sprintf("%s is not there. To create it: %s", f.Where, f.Remedy)
	}
	return fmt.Sprintf("%s has %s %s, wanted is %s: %s. To change it: %s", f.Where, f.Property, f.Has, f.Wanted, f.Why, f.Remedy)
}

// ErrMismatch is returned when what is there can't serve. The text has a line for each [Finding].
var ErrMismatch = errors.New("the streams and consumers can't keep what is promised")

// Check returns what is not as [Setup] makes it with this config, what matters most
// first. It changes nothing. It returns an error wrapping [ErrMismatch] when the streams
// are those of another namespace, whose name differs only in case.
func Check(ctx context.Context, nc *nats.Conn, c Config) (found []Finding, err error) {
	p, err := newPlan(nc, &c)
	if err == nil {
		found, err = p.check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("check queue: %w", err)
	}
	return found, nil
}

func missing(f Finding) bool { return f.Severity == Missing }

// refuse returns an error wrapping [ErrMismatch] unless all findings only differ.
func refuse(found []Finding) error {
	var lines strings.Builder
	for _, f := range found {
		if f.Severity != Differs {
			lines.WriteString("\n  " + f.String())
		}
	}
	if lines.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%w:%s", ErrMismatch, lines.String())
}

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
		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, p.growing(ctx) },
			backoff.WithBackOff(backoff.NewConstantBackOff(200*time.Millisecond)), backoff.WithMaxElapsedTime(time.Minute))
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); err != nil {
		return changed, fmt.Errorf("update queue: %w", err)
	}
	return changed, nil
}

// growing returns an error while fewer servers have all of a stream than it is told to have.
func (p *plan) growing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupAnswer)
	defer cancel()
	for _, name := range p.names.all() {
		stream, err := p.js.Stream(ctx, name)
		if err != nil {
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				continue
			}
			return fmt.Errorf("read stream %s: %w", name, err)
		}
		info := stream.CachedInfo()
		if have, _ := copies(info); have < info.Config.Replicas {
			return fmt.Errorf("wait for the replicas of stream %s: %d of %d servers are up to date", name, have, info.Config.Replicas)
		}
	}
	return nil
}
