package letters

import (
	"cmp"
	"context"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// atOnce is how many letters [Bulk] works on at a time: each waits for the server's disk.
const atOnce = 32

// Bulk does something with each of the letters, many at once, and calls done after each, one
// at a time, with what came of it. It blocks until all are done, or ctx has ended and those
// that were begun are done: then it returns ctx's cause. The first error of reading letters,
// or of done, ends it too.
func Bulk(ctx context.Context, all iter.Seq2[*queue.DeadLetter, error], do func(context.Context, *queue.DeadLetter) error, done func(*queue.DeadLetter, error) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var mu sync.Mutex
	for l, err := range all {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			err := do(context.WithoutCancel(ctx), l) // what was begun is finished
			mu.Lock()
			defer mu.Unlock()
			return done(l, err)
		})
	}
	return cmp.Or(group.Wait(), context.Cause(ctx))
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
