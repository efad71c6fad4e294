package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// leaseLost reports a call that was answered after its lease had ended. What is
// concluded of a call that was not answered comes after its lease by nature.
func (t *task) leaseLost(ctx context.Context, end *Conclusion) {
	if end.Token == t.claim.sentToken && t.ambiguity == nil {
		t.w.Metrics.leaseLost.Inc()
		t.log(ctx, slog.LevelWarn, "the lease ended before the result was stored: was this pod paused, or Redis wiped?")
	}
}

// announce stores the event. It tries until that is done, or the worker must go before. An
// event that no try will store is shortened step by step, and in the end the job goes to the
// dead stream in its place.
func (t *task) announce(ctx context.Context, n *next) *next {
	if t.job.WcID == "" {
		return n // nobody to tell it of
	}
	event := t.event(n.end.Result)
	// A tombstone is kept for longer than DedupWindow: later, nothing but its event tells
	// whether another delivery has ended the job.
	late := t.d.Attempts > 1 || sinceBothClocks(t.takenAt) > t.w.DedupWindow
	check := t.evidence.maybePublished || late && !t.evidence.first
	tried := false // else it was another delivery that published it, and reported it
	err := t.retry(ctx, &t.w.outages.events, true, func() error {
		if check || sinceBothClocks(t.decidedAt) > t.w.DedupWindow {
			if published, err := t.w.queue.Published(ctx, t.job.WcID, event.ID, t.evidence.notBefore); published || err != nil {
				return err
			}
		}
		check, tried = true, true
		failpoint("publishing")
		err := t.w.queue.Publish(ctx, event)
		for errors.Is(err, job.ErrUnsendable) && event.Shorten() {
			err = t.w.queue.Publish(ctx, event)
		}
		return err
	})
	failpoint("published")
	switch {
	case errors.Is(err, job.ErrUnsendable):
		t.log(ctx, slog.LevelError, "the event can't be sent: the job goes to the dead stream", "error", err)
		n.dead = err
	case err != nil:
		return t.untold(ctx)
	case tried:
		t.report(ctx, event)
	}
	return n
}

func (t *task) bury(ctx context.Context, n *next) *next {
	err := t.retry(ctx, &t.w.outages.letters, true, func() error {
		ctx, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		return t.w.queue.Bury(ctx, t.d, n.dead.Error())
	})
	switch {
	case errors.Is(err, job.ErrUnburiable):
		t.log(ctx, slog.LevelError, "the server refuses the dead letter: the job stays in the queue, and is tried again in ten minutes; see the limits of the dead stream", "reason", n.dead, "error", err)
		return back(unburiedPause)
	case err != nil:
		return t.untold(ctx)
	}
	t.w.Metrics.dead.Inc()
	failpoint("buried")
	return n
}

// retry repeats do, with growing pauses, until it succeeds or no try will. Meanwhile the
// job has no slot that a new confirmation could use, as long as there is room to wait. When
// there is none, a job that may leave does, unless something holds up all jobs: then its
// slot keeps the pod from taking more. It ends with ctx, too, and returns the last error.
func (t *task) retry(ctx context.Context, o *outage, mayLeave bool, do func() error) error {
	for wait := newBackOff(firstRetry, longRetry); ; {
		err := do()
		switch {
		case err == nil:
			o.worked()
			return nil
		case errors.Is(err, ErrSuperseded), errors.Is(err, ErrEnded), errors.Is(err, job.ErrUnsendable), errors.Is(err, job.ErrUnburiable):
			return err
		}
		o.failed(err)
		t.log(ctx, slog.LevelDebug, "telling how the job ended failed: trying again", "error", err)
		leaves := !t.park(true) && mayLeave && !t.w.outages.total()
		if leaves || !sleep(ctx, wait.NextBackOff()) {
			return err
		}
	}
}

// untold returns how a job goes back whose end could not be told: the worker stops, or there
// is no room to wait for it.
func (t *task) untold(ctx context.Context) *next {
	if ctx.Err() != nil {
		return back(0)
	}
	return back(t.awayPause())
}

func (t *task) event(r job.Result) *job.Event {
	e := newEvent(t.job, t.d.StoredAt, r)
	e.ID, e.Attempts, e.Worker, e.Traceparent = t.eventID(r.Outcome), t.d.Attempts, t.w.Pod, t.d.Traceparent
	return e
}

// newEvent returns what the job itself, which was stored at that time, makes of its event.
func newEvent(j *job.Job, storedAt time.Time, r job.Result) *job.Event {
	return &job.Event{
		JobID: j.ID, WcID: j.WcID, Tenant: j.Tenant, Labels: j.Labels, Result: r, RequestedAt: cmp.Or(j.RequestedAt, storedAt),
	}
}

// eventID returns the id of the job's event. One that says that the job is invalid is about
// the message and its copies: the job has another one once it is mended and sent again.
func (t *task) eventID(o job.Outcome) string {
	recorded := &job.Job{WcID: t.job.WcID, ID: t.record}
	if o == job.Invalid {
		return recorded.InvalidEventID(t.d.Data)
	}
	return recorded.EventID()
}

// measure notes how long the gateway held the call open, by what came of it.
func (t *task) measure(reply Reply, err error) {
	outcome := string(reply.Outcome)
	switch {
	case errors.Is(err, ErrRefused):
		outcome = "refused"
	case errors.Is(err, ErrNotStarted):
		outcome = "not_started"
	case err != nil:
		outcome = string(job.Unknown)
	}
	t.w.Metrics.confirmation.WithLabelValues(outcome).Observe(time.Since(t.calledAt).Seconds())
}

func (t *task) report(ctx context.Context, e *job.Event) {
	t.w.Metrics.jobs.WithLabelValues(string(e.Outcome)).Inc()
	t.w.recent.count(e.Outcome)
	t.w.Metrics.overhead.Observe((time.Since(t.takenAt) - t.elsewhere).Seconds())
	attrs := []any{"outcome", string(e.Outcome), "prompted", e.Prompted, "attempts", e.Attempts}
	if e.Outcome != job.Succeeded {
		attrs = append(attrs, "code", e.Code, "message", e.Message)
	}
	if e.SharedWith != "" {
		attrs = append(attrs, "sharedWith", e.SharedWith)
	}
	if e.Reconciled {
		attrs = append(attrs, "reconciled", true)
	}
	t.log(ctx, slog.LevelInfo, "job ended", attrs...)
}

// recoverPanic keeps a defect that one job runs into from ending every other's confirmation.
// The job comes back every minute, and is given up like any other once it was delivered too
// often, if it gets as far as to ask for its account. A prompt may be open: its account stays
// locked.
func (t *task) recoverPanic(run lifetime) {
	if defect := recover(); defect != nil {
		t.claim.spend()
		t.log(run.calls, slog.LevelError, "this is a defect in relogin, please report it: the job is handed back for a minute",
			"panic", defect, "stack", string(debug.Stack()))
		t.d.HandBack(time.Minute)
	}
}
