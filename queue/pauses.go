package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// Scope says which jobs a [Pause] is about.
type Scope string

// The scopes.
const (
	ScopeAll     Scope = "all"     // every job of the namespace
	ScopeLane    Scope = "lane"    // those of a lane
	ScopeTenant  Scope = "tenant"  // those of a tenant
	ScopeAccount Scope = "account" // those of an account, whichever tenant sends them
)

// Target is what is paused: a scope, and the name of the lane, tenant or account in it.
type Target struct {
	Scope Scope  `json:"scope"`
	Name  string `json:"name,omitempty"` // empty with [ScopeAll], and only there
}

// String returns it for people: everything, or such as tenant acme.
func (t Target) String() string {
	if t.Scope == ScopeAll {
		return "everything"
	}
	return string(t.Scope) + " " + t.Name
}

// ErrInvalidTarget is returned for a target that names nothing. The text says what is wrong.
var ErrInvalidTarget = errors.New("invalid target of a pause")

// Check returns nil, or an error wrapping [ErrInvalidTarget].
func (t Target) Check() error {
	wrong := func(rule string) error { return fmt.Errorf("%w: %s", ErrInvalidTarget, rule) }
	switch t.Scope {
	case ScopeAll:
		if t.Name != "" {
			return wrong("everything has no name")
		}
		return nil
	case ScopeLane:
		if !slices.Contains(lanes, job.Lane(t.Name)) {
			return wrong(fmt.Sprintf("lane %q: want urgent or normal", t.Name))
		}
		return nil
	case ScopeTenant, ScopeAccount:
		if (&job.Job{WcID: t.Name}).Check() != nil {
			return wrong(fmt.Sprintf("%s %q: want 1 to %d bytes of UTF-8 without control characters", t.Scope, t.Name, job.MaxNameBytes))
		}
		return nil
	}
	return wrong(fmt.Sprintf("scope %q: want all, lane, tenant or account", t.Scope))
}

// key is the target's in the bucket. Keys have no "~", so what [job.AccountToken] begins with
// that begins with "=" here.
func (t Target) key() string {
	if t.Scope == ScopeAll {
		return string(ScopeAll)
	}
	return string(t.Scope) + "." + strings.Replace(job.AccountToken(t.Name), "~", "=", 1)
}

// Pause keeps jobs from making phones ask, because a person wants that. Confirmations that are open
// finish.
type Pause struct {
	Target
	By     string    `json:"by,omitempty"`     // who has paused it
	Reason string    `json:"reason,omitempty"` // why, for people
	At     time.Time `json:"at"`               // since when
	Until  time.Time `json:"until,omitzero"`   // when it ends by itself, by each pod's clock: as long after the server stored it as it is after At; zero: never
}

// over tells whether the pause has ended by itself.
func (p *Pause) over() bool { return !p.Until.IsZero() && !time.Now().Before(p.Until) }

// Control pauses jobs and resumes them, and tells what is paused. What it does is in the [Audit].
// It is safe for concurrent use, also by several programs at once.
type Control struct {
	client
	bucket jetstream.KeyValue
	audit  Audit
}

// OpenControl returns the control of the namespace; an empty one is the default. It blocks until
// the server has said that the bucket <NAMESPACE>_CONTROL is there. The connection stays the
// caller's.
func OpenControl(ctx context.Context, nc *nats.Conn, namespace string) (*Control, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("open control: %w", err)
	}
	bucket, err := c.js.KeyValue(ctx, c.names.control())
	if err != nil {
		return nil, fmt.Errorf("open bucket %s (relogin setup creates it): %w", c.names.control(), withPermissionHint(nc, err))
	}
	return &Control{c, bucket, Audit{c}}, nil
}

// Pause pauses the target, in place of an earlier pause of the same. All pods see it within a
// second, and go by it as long as it is there, also after a restart. It blocks until the server
// has stored it, first in the audit. At is the caller's time unless set. The error wraps
// [ErrInvalidTarget] for a target that names nothing.
func (c *Control) Pause(ctx context.Context, p Pause) error {
	if err := p.Check(); err != nil {
		return err
	}
	p.At = cmp.Or(p.At, time.Now().UTC())
	if p.over() {
		return fmt.Errorf("pause %s until %s: that is over", p.Target, p.Until.Format(time.RFC3339))
	}
	err := c.audit.Record(ctx, AuditEntry{Action: ActionPause, By: p.By, Reason: p.Reason, Target: &p.Target, Until: p.Until})
	if err != nil {
		return err
	}
	var options []jetstream.PublishOpt
	if !p.Until.IsZero() { // the server forgets it some time after it has ended
		options = append(options, jetstream.WithMsgTTL(time.Until(p.Until)+markerTTL))
	}
	data, err := json.Marshal(p)
	if err == nil {
		_, err = c.js.Publish(ctx, "$KV."+c.names.control()+"."+p.key(), data, options...)
	}
	if err != nil {
		return fmt.Errorf("pause %s: %w", p.Target, withPermissionHint(c.nc, err))
	}
	return nil
}

// markerTTL is how long the bucket remembers that a pause has been lifted: pods that are
// connected learn of it at once, and others read everything when they connect.
const markerTTL = time.Minute

// ErrNotPaused is returned when there is no such pause to lift.
var ErrNotPaused = errors.New("it is not paused")

// Resume lifts the pause of the target; pauses of others that are about the same jobs stay. It
// blocks until the server has stored that, first in the audit, and returns the pause that it
// has lifted. The error wraps [ErrNotPaused] when there is none, also when it has ended by
// itself.
func (c *Control) Resume(ctx context.Context, t Target, by, reason string) (*Pause, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	wrap := func(err error) error { return fmt.Errorf("resume %s: %w", t, withPermissionHint(c.nc, err)) }
	key, p, err := c.find(ctx, t)
	if err != nil {
		return nil, wrap(err)
	}
	if !p.over() {
		if err := c.audit.Record(ctx, AuditEntry{Action: ActionResume, By: by, Reason: reason, Target: &t}); err != nil {
			return nil, err
		}
	}
	if err := c.bucket.Purge(ctx, key, jetstream.PurgeTTL(markerTTL)); err != nil {
		return nil, wrap(err)
	}
	if p.over() {
		return nil, wrap(ErrNotPaused)
	}
	return p, nil
}

// find returns the pause of the target, and its key in the bucket. Of everything that may be an entry
// whose key tells nothing. The error is [ErrNotPaused] when there is none.
func (c *Control) find(ctx context.Context, t Target) (string, *Pause, error) {
	entry, err := c.bucket.Get(ctx, t.key())
	if err == nil {
		return t.key(), readPause(entry), nil
	}
	if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil, err
	}
	if t.Scope == ScopeAll {
		all, err := loadPauses(ctx, c.bucket)
		if err != nil {
			return "", nil, err
		}
		for key, p := range all {
			if p.Scope == ScopeAll {
				return key, p, nil
			}
		}
	}
	return "", nil, ErrNotPaused
}

// Pauses returns the pauses of these scopes that have not ended, the oldest first; without scopes
// all, with those whose entries can't be read. It blocks until the server has answered: 100,000
// paused accounts take some seconds.
func (c *Control) Pauses(ctx context.Context, scopes ...Scope) ([]*Pause, error) {
	var keys []string
	for _, scope := range scopes {
		if scope == ScopeAll {
			keys = append(keys, string(scope))
		} else {
			keys = append(keys, string(scope)+".*")
		}
	}
	all, err := loadPauses(ctx, c.bucket, keys...)
	if err != nil {
		return nil, fmt.Errorf("read pauses: %w", withPermissionHint(c.nc, err))
	}
	return standing(slices.Collect(maps.Values(all))), nil
}

// PausesOf returns those of the targets' pauses that have not ended, the oldest first. It blocks
// until the server has answered.
func (c *Control) PausesOf(ctx context.Context, targets ...Target) ([]*Pause, error) {
	var all []*Pause
	for _, t := range targets {
		if t.Check() != nil {
			continue // it can't be paused: a job that breaks the rules may have any name
		}
		entry, err := c.bucket.Get(ctx, t.key())
		switch {
		case err == nil:
			all = append(all, readPause(entry))
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return nil, fmt.Errorf("read pause of %s: %w", t, withPermissionHint(c.nc, err))
		}
	}
	return standing(all), nil
}

// standing returns those that have not ended, the oldest first.
func standing(all []*Pause) []*Pause {
	all = slices.DeleteFunc(all, (*Pause).over)
	slices.SortFunc(all, func(a, b *Pause) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.key(), b.key())) })
	return all
}
