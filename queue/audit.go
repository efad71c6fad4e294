package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// Action is what a person did, as the audit has it.
type Action string

// The actions.
const (
	ActionPause  Action = "pause"
	ActionResume Action = "resume"
	ActionCancel Action = "cancel" // of jobs
	ActionReplay Action = "replay" // of dead letters
	ActionDrop   Action = "drop"   // of dead letters
)

// AuditEntry says what a person did. It is stored before it is done: one that is there may have
// failed, and nothing is done that is not there.
type AuditEntry struct {
	Sequence uint64    `json:"sequence,omitempty"` // in the audit; set by who reads it
	At       time.Time `json:"at,omitzero"`        // by the server's clock; set by who reads it
	Action   Action    `json:"action"`
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Target   *Target   `json:"target,omitempty"` // of a pause
	Until    time.Time `json:"until,omitzero"`   // of a pause; zero: it does not end by itself
	What     string    `json:"what,omitempty"`   // which jobs or dead letters, for people
}

// Audit is the record of what people did in a namespace, in the stream <NAMESPACE>_AUDIT. It is
// safe for concurrent use.
type Audit struct{ client }

// OpenAudit returns the audit of the namespace; an empty one is the default. It does not block.
func OpenAudit(nc *nats.Conn, namespace string) (*Audit, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("open audit: %w", err)
	}
	return &Audit{c}, nil
}

// Record stores the entry. It blocks until the server has acknowledged it. Whoever changes
// something does so after that, and not when there is an error.
func (a *Audit) Record(ctx context.Context, e AuditEntry) error {
	subject := string(a.names) + ".audit." + string(e.Action)
	if e.Target != nil && e.Target.Scope == ScopeAccount { // what was done with an account can be found
		subject += "." + job.AccountToken(e.Target.Name)
	}
	data, err := json.Marshal(e)
	if err == nil {
		_, err = a.js.Publish(ctx, subject, data)
	}
	if err != nil {
		return fmt.Errorf("%s: nothing was done, since it could not be written into the audit (stream %s): %w", e.Action, a.names.audit(), withPermissionHint(a.nc, err))
	}
	return nil
}

// Last returns the last entries, at most so many, the oldest first. It blocks until the server
// has answered.
func (a *Audit) Last(ctx context.Context, last int) ([]AuditEntry, error) {
	wrap := func(err error) error {
		return fmt.Errorf("read audit %s: %w", a.names.audit(), withPermissionHint(a.nc, err))
	}
	stream, err := a.js.Stream(ctx, a.names.audit())
	if err != nil {
		return nil, wrap(err)
	}
	state, from := stream.CachedInfo().State, uint64(1)
	if state.LastSeq > uint64(last) {
		from = state.LastSeq - uint64(last) + 1
	}
	var all []AuditEntry
	for msg, err := range a.read(ctx, a.names.audit(), string(a.names)+".audit.>", from, readBatch) {
		if err != nil {
			return nil, wrap(err)
		}
		var e AuditEntry
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			e = AuditEntry{What: "an entry that can't be read"}
		}
		e.Sequence, e.At = msg.Sequence, msg.Time
		all = append(all, e)
	}
	return all, nil
}
