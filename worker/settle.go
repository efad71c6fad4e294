package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// finish remembers how the job ended, so that every delivery of it agrees. The result
// that counts is left in end. It insists, up to a lease: then the event goes out
// without it, and its id keeps it from being stored twice.
func (t *task) finish(ctx context.Context, end *Conclusion) error {
	if t.job.WcID == "" {
		return nil // nothing can be remembered of it
	}
	t.decided = time.Now()
	failpoint("concluded")
	var finished Finished
	err := t.insist(ctx, "storing the result failed: trying again; see that Redis works", t.w.SendWindow+t.w.ConfirmTimeout, func() (err error) {
		finished, err = t.w.locker.Finish(ctx, *end)
		if errors.Is(err, ErrLeaseLost) {
			t.leaseLost(ctx, end)
			t.known, err = true, nil
		}
		return err
	})
	switch {
	case err == nil:
		failpoint("stored")
		t.known = t.known || !finished.Result.FinishedAt.Equal(end.Result.FinishedAt) // another delivery's
		end.Result = finished.Result
	case errors.Is(err, ErrSuperseded), errors.Is(err, ErrEnded):
		return err
	default:
		t.log(ctx, slog.LevelError, "the result could not be stored: its event is published all the same", "error", err)
	}
	return nil
}

// leaseLost reports a call that was answered after its lease had ended. What is
// concluded of a call that was not answered comes after its lease by nature.
func (t *task) leaseLost(ctx context.Context, end *Conclusion) {
	if end.Token == t.used && t.ambiguity == nil {
		t.w.metrics.leaseLost.Inc()
		t.log(ctx, slog.LevelWarn, "the lease ended before the result was stored: was this pod paused, or Redis wiped?")
	}
}

// settle ends the delivery: the event is stored, and only then is the job taken from
// the queue. Here, and only here, a job's end is logged.
func (t *task) settle(ctx context.Context, end *Conclusion, err error) {
	if err == nil {
		err = t.announce(ctx, end.Result)
		failpoint("published")
	}
	if t.dead != nil && !isHandBack(err) {
		if buried := t.bury(ctx); buried != nil {
			err = buried
		}
	}
	var back handBack
	switch {
	case errors.As(err, &back):
		t.w.locker.Excuse(t.job.WcID, t.job.ID)
		t.d.HandBack(back.after)
		failpoint("handedBack")
		t.log(ctx, slog.LevelDebug, "job handed back", "after", back.after)
	case t.dead != nil:
		t.d.Term()
		t.log(ctx, slog.LevelWarn, "job moved to the dead stream: see its reason, and publish it again when it is mended", "reason", t.dead)
	case errors.Is(err, ErrEnded):
		t.d.Ack()
		t.log(ctx, slog.LevelDebug, "job left the queue without an event of its own", "why", err)
	case err != nil:
		t.d.HandBack(time.Minute)
		t.log(ctx, slog.LevelError, "job handed back for a minute", "error", err)
	default:
		t.d.Ack()
		failpoint("acked")
		t.w.locker.Shrink(t.job.WcID, t.job.ID)
	}
}

// announce stores the event. It insists; a handBack is returned when the worker must go.
func (t *task) announce(ctx context.Context, r Result) error {
	if t.job.WcID == "" {
		return nil // nobody to tell it of
	}
	event := t.event(r)
	check := t.known || t.late()
	tried := false // else it was another delivery that published it, and reported it
	publish := func() error {
		if check || sinceBothClocks(t.decided) > t.w.Freshness {
			if published, err := t.published(ctx); published || err != nil {
				return err
			}
		}
		check, tried = true, true
		failpoint("publishing")
		return t.w.queue.Publish(ctx, event)
	}
	err := t.insist(ctx, "storing the event failed: trying again; see that NATS works", 0, func() error {
		err := publish()
		if errors.Is(err, ErrUnsendable) && event.shorten() {
			err = publish()
		}
		return err
	})
	switch {
	case errors.Is(err, ErrUnsendable):
		t.log(ctx, slog.LevelError, "the event can't be sent: the job goes to the dead stream", "error", err)
		t.dead = err
	case err != nil:
		return handBack{}
	case tried:
		t.report(ctx, event)
	}
	return nil
}

// bury stores the job in the dead stream.
func (t *task) bury(ctx context.Context) error {
	err := t.insist(ctx, "storing the dead letter failed: trying again; see that NATS works", 0, func() error {
		ctx, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		return t.w.queue.Bury(ctx, t.d, t.dead.Error())
	})
	if err != nil {
		return handBack{}
	}
	t.w.metrics.dead.Inc()
	failpoint("buried")
	return nil
}

// insist repeats do, with growing pauses, until it succeeds, or no try will, or ctx ends,
// or the limit is over; 0: there is none.
func (t *task) insist(ctx context.Context, trouble string, limit time.Duration, do func() error) error {
	started, wait := time.Now(), newBackOff(firstRetry)
	for {
		err := do()
		if err == nil || errors.Is(err, ErrSuperseded) || errors.Is(err, ErrEnded) || errors.Is(err, ErrUnsendable) {
			return err
		}
		t.log(ctx, slog.LevelWarn, trouble, "error", err)
		pause := wait.NextBackOff()
		if limit > 0 && time.Since(started)+pause > limit {
			return err
		}
		if !sleep(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

func (t *task) event(r Result) *Event {
	e := &Event{
		ID: t.job.EventID(), JobID: t.job.ID, WcID: t.job.WcID, Tenant: t.job.Tenant, Labels: t.job.Labels,
		Result: r, Attempts: t.d.Attempts, Worker: t.w.Pod,
		RequestedAt: t.job.RequestedAt, Traceparent: t.d.Traceparent,
	}
	if e.RequestedAt.IsZero() {
		e.RequestedAt = t.d.StoredAt
	}
	return e
}

// report counts and logs the job's end.
func (t *task) report(ctx context.Context, e *Event) {
	t.w.metrics.jobs.WithLabelValues(string(e.Outcome)).Inc()
	t.w.metrics.overhead.Observe((time.Since(t.taken) - t.elsewhere).Seconds())
	attrs := []any{"outcome", string(e.Outcome), "prompted", e.Prompted, "attempts", e.Attempts}
	if e.Outcome != Succeeded {
		attrs = append(attrs, "code", e.Code, "message", e.Message)
	}
	if e.SharedWith != "" {
		attrs = append(attrs, "sharedWith", e.SharedWith)
	}
	t.log(ctx, slog.LevelInfo, "job ended", attrs...)
}

// survive keeps a defect that one job runs into from ending every other's confirmation.
// The job comes back, and goes to the dead stream when that does not help.
func (t *task) survive(ctx context.Context) {
	if defect := recover(); defect != nil {
		t.log(ctx, slog.LevelError, "this is a defect in relogin, please report it: the job is handed back for a minute",
			"panic", defect, "stack", string(debug.Stack()))
		t.d.HandBack(time.Minute)
	}
}

// handBack says that the job returns to the queue.
type handBack struct{ after time.Duration }

func (h handBack) Error() string { return "handed back to the queue" }

func isHandBack(err error) bool {
	var back handBack
	return errors.As(err, &back)
}
