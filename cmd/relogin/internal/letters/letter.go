package letters

import (
	"context"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// Apply returns what does the action, [queue.ActionReplay] or [queue.ActionDrop], with a letter.
func Apply(all *queue.DeadLetters, a queue.Action) func(context.Context, *queue.DeadLetter) error {
	if a == queue.ActionDrop {
		return all.Drop
	}
	return func(ctx context.Context, l *queue.DeadLetter) error {
		_, err := all.Replay(ctx, l)
		return err
	}
}

// Letter is a dead letter as JSON. Its names do not change.
type Letter struct {
	Sequence   uint64            `json:"sequence"`
	StoredAt   time.Time         `json:"storedAt"`
	Lane       job.Lane          `json:"lane,omitempty"`
	Consumer   string            `json:"consumer,omitempty"`
	Reason     string            `json:"reason"`
	JobID      string            `json:"jobId,omitempty"`
	WcID       string            `json:"wcId,omitempty"`
	Tenant     string            `json:"tenant,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Deliveries int               `json:"deliveries,omitempty"`
	Bytes      int               `json:"bytes"`
}

// Describe returns the letter without its body and headers.
func Describe(l *queue.DeadLetter) Letter {
	return Letter{
		Sequence: l.Sequence, StoredAt: l.StoredAt, Lane: l.Lane, Consumer: l.Consumer, Reason: l.Reason,
		JobID: l.JobID, WcID: l.WcID, Tenant: l.Tenant, Labels: l.Labels, Deliveries: l.Origin.Deliveries, Bytes: len(l.Data),
	}
}
