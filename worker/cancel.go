package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// Canceller ends jobs in the store from outside of the pipeline. Package cache implements it on
// Redis.
type Canceller interface {
	// Cancel remembers that the job has ended with this result, so that no delivery of it
	// prompts. It returns the result that counts: that of an earlier cancellation where there
	// was one. [ErrAsked] says that the job was granted its account: it may be asking its
	// phone, or its answer got lost. [ErrEnded] says that it has ended otherwise.
	Cancel(ctx context.Context, wcID, record string, storedAt time.Time, r job.Result) (job.Result, error)
}

// ErrAsked is returned for a job that can't be cancelled any more: its phone asks, or may have.
var ErrAsked = errors.New("it is too late to cancel the job: its phone asks, or may have asked")

// Cancellation is a job that is to end without a prompt.
type Cancellation struct {
	Job         *job.Job
	Record      string    // its record's name in the store; see [job.Delivery.Read]
	StoredAt    time.Time // when the queue got it
	Traceparent string    // as in its delivery
	Delivered   bool      // a pod may have had it: another event of it is looked for before one is published
	By, Reason  string    // for people
}

const (
	cancelTries = 5                      // while the job has its account for a moment, without prompting
	cancelPause = 200 * time.Millisecond // between them
)

// Cancel ends a job that has not prompted as [job.Cancelled], and publishes its event. It blocks until
// that is stored, or the tries are used up. After an error that is none of those of [Canceller], call
// it again: it goes on where it was. The caller takes the job from the queue then; a delivery
// that a pod has meanwhile finds that it has ended.
func Cancel(ctx context.Context, q Queue, c Canceller, one Cancellation) (*job.Event, error) {
	now := time.Now().UTC()
	message := "cancelled by " + cmp.Or(one.By, "somebody")
	if one.Reason != "" {
		message += ": " + one.Reason
	}
	result := job.Result{Outcome: job.Cancelled, Message: message, StartedAt: now, FinishedAt: now}
	var err error
	for range cancelTries {
		if result, err = c.Cancel(ctx, one.Job.WcID, one.Record, one.StoredAt, result); !errors.Is(err, ErrAsked) || !sleep(ctx, cancelPause) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	recorded, e := &job.Job{WcID: one.Job.WcID, ID: one.Record}, newEvent(one.Job, one.StoredAt, result)
	e.ID, e.Traceparent = recorded.EventID(), one.Traceparent
	again := !result.FinishedAt.Equal(now) // another cancellation came before: it may have published the event
	if one.Delivered || again {
		published, err := q.Published(ctx, e.WcID, e.ID, one.StoredAt)
		if err != nil {
			return nil, fmt.Errorf("cancel job %s: %w", one.Job.ID, err)
		}
		if published {
			return e, nil
		}
	}
	if err := q.Publish(ctx, e); err != nil {
		return nil, fmt.Errorf("cancel job %s: %w", one.Job.ID, err)
	}
	return e, nil
}

// LookAgain has those of the account's jobs that have this id, and wait in the pod, ask the store
// again: something has become of them. It does not block.
func (w *Worker) LookAgain(wcID, jobID string) {
	w.inFlight.each(func(t *task) {
		if t.job.WcID == wcID && t.job.ID == jobID && t.nudge != nil {
			select {
			case t.nudge <- struct{}{}:
			default: // it will look anyway
			}
		}
	})
}
