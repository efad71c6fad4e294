package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// plan is all that a namespace needs, as its config wants it.
type plan struct {
	client
	config *Config
	parts  []interface { // what others need comes first
		check(context.Context) ([]Finding, error)
		fill(context.Context) error
		mend(context.Context) ([]Finding, error)
	}
}

func newPlan(nc *nats.Conn, c *Config) (*plan, error) {
	if c.AckWait > 0 && c.AckWait < leastAckWait {
		return nil, fmt.Errorf("ack-wait %v: want at least %v", c.AckWait, leastAckWait)
	}
	client, err := newClient(nc, c.Namespace)
	if err != nil {
		return nil, err
	}
	n := client.names
	c.Namespace = string(n)
	window := DuplicateWindow(c.JobMemory)
	c.Replicas, c.DuplicateWindow = cmp.Or(c.Replicas, 1), min(cmp.Or(c.DuplicateWindow, window), window)
	p := &plan{client: client, config: c}
	for i, k := range streamKinds {
		one := p.stream(k, c.streams(n)[i])
		switch k {
		case ofRedis:
			one.create = p.createBucket(jetstream.KeyValueConfig{Bucket: n.redis(), Description: "from when on the grants of each Redis server count, and the leases of pods"})
			one.remake = fmt.Sprintf("NATS can't. Stop all workers, wait for one lease (--confirm-timeout and a little more), and: nats kv del %s && %s", n.redis(), c.command("setup"))
		case ofControl:
			one.create = p.createBucket(jetstream.KeyValueConfig{Bucket: n.control(), Description: "what is paused", LimitMarkerTTL: markerTTL})
			one.remake = fmt.Sprintf("NATS can't. See what is paused (%s), stop all workers, then: nats kv del %s && %s; and pause it again before they start", c.command("pause --list"), n.control(), c.command("setup"))
		}
		p.parts = append(p.parts, one)
	}
	for _, lane := range lanes {
		one := p.consumer(ofLane, n.jobs(), c.consumer(n, lane))
		one.remake = fmt.Sprintf("NATS can't. Stop all workers, and: nats consumer rm %s %s && %s", n.jobs(), lane, c.command("setup"))
		p.parts = append(p.parts, one)
	}
	return p, nil
}

// createBucket returns what creates the bucket.
func (p *plan) createBucket(bucket jetstream.KeyValueConfig) func(context.Context) error {
	bucket.Replicas = p.config.Replicas
	return func(ctx context.Context) error {
		_, err := p.js.CreateKeyValue(ctx, bucket)
		return unless(err, jetstream.ErrBucketExists) // another pod's, just now, set otherwise
	}
}

// check returns all findings, what matters most first, or all that the user may not read.
func (p *plan) check(ctx context.Context) (found []Finding, err error) {
	var refusals []error
	for _, one := range p.parts {
		before := fmt.Sprint(p.nc.LastError())
		some, err := one.check(ctx)
		found, refusals = append(found, some...), append(refusals, err)
		if err != nil && (!errors.Is(err, nats.ErrPermissionViolation) || fmt.Sprint(p.nc.LastError()) == before) {
			break // the next one would fail alike
		}
	}
	if err := errors.Join(refusals...); err != nil {
		return nil, err
	}
	rank := []Severity{Missing, Breaks, Differs}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Compare(slices.Index(rank, a.Severity), slices.Index(rank, b.Severity))
	})
	return found, nil
}

// setUp creates what is missing, unless what is there can't serve.
func (p *plan) setUp(ctx context.Context) error {
	found, err := p.check(ctx)
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(slices.Clone(found), missing)
	if err := refuse(there); err != nil || len(there) == len(found) {
		return err
	}
	for _, one := range p.parts {
		if err := one.fill(ctx); err != nil {
			return err
		}
	}
	if found, err = p.check(ctx); err != nil { // others may have created some of it
		return err
	}
	return refuse(found)
}

// remake is how a stream that holds something is made again. NATS lets nobody change its
// name, so the copy's messages are read back.
func (p *plan) remake(stream string) string {
	return fmt.Sprintf("NATS can't. If it is empty: nats stream rm %[1]s && %[2]s. Otherwise stop upstreams and workers, and: "+
		"nats stream add %[1]s_COPY --mirror %[1]s --defaults; once that has all of it: nats stream edit %[1]s_COPY --no-mirror --force && "+
		"nats stream rm %[1]s && %[2]s && nats stream edit %[1]s --source %[1]s_COPY --force; once that has all of it: %[3]s && nats stream rm %[1]s_COPY",
		stream, p.config.command("setup"), p.config.command("setup --update"))
}

// retry asks again when there is no answer: a cluster that is asked for the same stream
// by several pods at once answers some of them never. It does not when the server has
// refused this user something; the error says what that was.
func (p *plan) retry(ctx context.Context, ask func(context.Context) error) (err error) {
	for range setupTries {
		try, cancel := context.WithTimeout(ctx, setupAnswer)
		err = ask(try)
		cancel()
		refused := errors.Is(p.nc.LastError(), nats.ErrPermissionViolation)
		if ctx.Err() != nil || refused || !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return withPermissionHint(p.nc, err)
}
