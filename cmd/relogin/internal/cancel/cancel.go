// Package cancel is what relogin cancel does.
package cancel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/bulk"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// Store is where jobs are cancelled.
type Store interface {
	worker.Canceller

	// Remembers tells whether the store has what it knew of jobs that were delivered.
	Remembers(ctx context.Context) (bool, error)
}

// Options are what [Run] needs.
type Options struct {
	*Settings
	Who       *audit.Who
	Namespace string
	NATS      *nats.Conn
	Jobs      *queue.Jobs
	Queue     worker.Queue // publishes the events
	Store     Store
	Audit     *queue.Audit
	Stderr    io.Writer // gets the progress and the totals
	Printer   *output.Printer
}

// ErrNotCancelled is returned by [Run] when it has told of each job that it could not cancel.
var ErrNotCancelled = errors.New("not all jobs were cancelled")

// Run cancels the jobs that the settings say. It blocks until their events are stored, or ctx ends.
func Run(ctx context.Context, o Options) error {
	r := &run{Options: o, delivered: map[job.Lane]uint64{}}
	lanes, err := o.Jobs.Lanes(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		r.delivered[l.Lane] = l.Delivered
	}
	if err := r.trusted(ctx); err != nil {
		return err
	}
	if !o.dryRun {
		e := queue.AuditEntry{Action: queue.ActionCancel, By: o.Who.By, Reason: o.Who.Reason, What: o.describe()}
		if account := o.wcID + o.account; account != "" {
			e.Target = &queue.Target{Scope: queue.ScopeAccount, Name: account}
		}
		if err := o.Audit.Record(ctx, e); err != nil {
			return err
		}
	}
	return r.all(ctx)
}

type run struct {
	Options
	delivered map[job.Lane]uint64 // the newest sequence that was

	done, failed int
}

func (r *run) all(ctx context.Context) error {
	progress := terminal.Progress(r.Stderr, -1, "cancelled")
	err := bulk.Each(ctx, r.chosen(ctx), r.one, func(j *queue.StoredJob, err error) error {
		_ = progress.Add(1) // it is for looking at
		return r.tell(j, err)
	})
	_ = progress.Finish()
	switch {
	case err != nil:
		return err
	case !r.Settings.all && r.done+r.failed == 0:
		return fmt.Errorf("job %s of account %s is not in the queue: it has ended, or was never stored; see relogin explain %s --job %s",
			terminal.Printable(r.jobID), terminal.Printable(r.wcID), terminal.Argument(r.wcID), terminal.Argument(r.jobID))
	case r.Settings.all && !r.Printer.JSON():
		did := "cancelled"
		if r.dryRun {
			did = "would be cancelled"
		}
		fmt.Fprintf(r.Stderr, "%s: %d, too late or failed: %d\n", did, r.done, r.failed)
	}
	if r.failed > 0 {
		return ErrNotCancelled
	}
	return nil
}

// chosen are the jobs that the settings say.
func (r *run) chosen(ctx context.Context) iter.Seq2[*queue.StoredJob, error] {
	return func(yield func(*queue.StoredJob, error) bool) {
		for j, err := range r.Jobs.All(ctx, "") {
			if (err != nil || r.fits(j)) && !yield(j, err) {
				return
			}
		}
	}
}

func (r *run) one(ctx context.Context, j *queue.StoredJob) error {
	if j.Invalid != nil {
		return fmt.Errorf("it is no valid job, and ends so by itself: %w", j.Invalid)
	}
	if r.dryRun {
		return nil
	}
	_, err := worker.Cancel(ctx, r.Queue, r.Store, worker.Cancellation{
		Job: j.Job, Record: j.Record, StoredAt: j.StoredAt, Traceparent: j.Traceparent,
		Delivered: j.Sequence <= r.delivered[j.Lane], By: r.Who.By, Reason: r.Who.Reason,
	})
	if err != nil {
		return err
	}
	if err := r.Jobs.Remove(ctx, j); err != nil {
		return err
	}
	return queue.TellPods(r.NATS, r.Namespace, j.Job.WcID, j.Job.ID)
}

// trusted returns an error while Redis may have lost what it knew of jobs that are asking, which it
// or the pods may say: such a job would be cancelled although its phone asks. All that was open
// before has ended once they trust it again.
func (r *run) trusted(ctx context.Context) error {
	pods, err := queue.AskPods[worker.PodState](ctx, r.NATS, r.Namespace)
	for _, p := range pods {
		if p.Quarantine > 0 {
			return fmt.Errorf("nothing was cancelled: Redis may have forgotten which phones ask; try again in %.0f s", p.Quarantine)
		}
	}
	if err != nil || r.delivered[job.Urgent]+r.delivered[job.Normal] == 0 {
		return err
	}
	if remembers, err := r.Store.Remembers(ctx); err != nil || !remembers {
		return cmp.Or(err, errors.New("nothing was cancelled: Redis was wiped, and has forgotten which phones ask; see that a worker runs, and try again when relogin status says that it starts confirmations"))
	}
	return nil
}

// tell counts a job, and prints what came of it. It is called for one at a time.
func (r *run) tell(j *queue.StoredJob, err error) error {
	result := struct {
		JobID  string   `json:"jobId"`
		WcID   string   `json:"wcId"`
		Tenant string   `json:"tenant"`
		Lane   job.Lane `json:"lane"`
		Did    string   `json:"did,omitempty"`
		Error  string   `json:"error,omitempty"`
	}{JobID: j.Job.ID, WcID: j.Job.WcID, Tenant: j.Job.Tenant, Lane: j.Lane}
	if err != nil {
		r.failed++
		result.Error = err.Error()
		if !r.Printer.JSON() {
			_, err := fmt.Fprintf(r.Stderr, "%s  %s: %s\n", terminal.Printable(j.Job.WcID), terminal.Printable(j.Job.ID), terminal.Sentence(err.Error()))
			return err
		}
		return r.Printer.Print(result, "")
	}
	r.done++
	result.Did = "cancelled"
	if r.dryRun {
		result.Did = "would be cancelled"
	}
	if r.Settings.all && !r.dryRun && !r.Printer.JSON() {
		return nil
	}
	return r.Printer.Print(result, "%s  %s  %s\n", result.Did, terminal.Printable(j.Job.WcID), terminal.Printable(j.Job.ID))
}
