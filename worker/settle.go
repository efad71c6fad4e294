package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// finish remembers how the job ended, so that every delivery of it agrees. The result
// that counts is left in end. It tries until that is stored; a handBack is returned when
// the worker must go before.
func (t *task) finish(ctx context.Context, end *Conclusion) error {
	t.decided = time.Now()
	if t.job.WcID == "" {
		return nil // nothing can be remembered of it
	}
	failpoint("concluded")
	var finished Finished
	err := t.insist(ctx, &t.w.outages.store, func() (err error) {
		finished, err = t.w.locker.Finish(ctx, *end)
		if errors.Is(err, ErrLeaseLost) {
			t.leaseLost(ctx, end)
			t.known, err = true, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	failpoint("stored")
	t.first = finished.First && (end.Token == "" || t.certain)
	t.known = t.known || finished.Known
	if !finished.Since.IsZero() {
		t.since = finished.Since
	}
	end.Result = finished.Result
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
		t.w.locker.Excuse(t.job.WcID, t.record)
		t.d.HandBack(back.after)
		failpoint("handedBack")
		t.log(ctx, slog.LevelDebug, "job handed back", "after", back.after)
	case t.dead != nil:
		t.d.Term()
		if end.Result.Outcome != Invalid {
			t.w.locker.Shrink(t.job.WcID, t.record)
		}
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
		t.w.locker.Shrink(t.job.WcID, t.record)
	}
}

// announce stores the event. It tries until that is done; a handBack is returned when the
// worker must go before. An event that no try will store is shortened step by step, and
// in the end the job goes to the dead stream in its place.
func (t *task) announce(ctx context.Context, r Result) error {
	if t.job.WcID == "" {
		return nil // nobody to tell it of
	}
	event := t.event(r)
	check := t.known || t.late() && !t.first
	tried := false // else it was another delivery that published it, and reported it
	err := t.insist(ctx, &t.w.outages.events, func() error {
		if check || sinceBothClocks(t.decided) > t.w.Freshness {
			if published, err := t.published(ctx, event.ID); published || err != nil {
				return err
			}
		}
		check, tried = true, true
		failpoint("publishing")
		err := t.w.queue.Publish(ctx, event)
		for errors.Is(err, ErrUnsendable) && event.shorten() {
			err = t.w.queue.Publish(ctx, event)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrUnsendable):
		t.log(ctx, slog.LevelError, "the event can't be sent: the job goes to the dead stream", "error", err)
		t.dead = err
	case err != nil:
		return err
	case tried:
		t.report(ctx, event)
	}
	return nil
}

// bury stores the job in the dead stream.
func (t *task) bury(ctx context.Context) error {
	err := t.insist(ctx, &t.w.outages.events, func() error {
		ctx, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		return t.w.queue.Bury(ctx, t.d, t.dead.Error())
	})
	switch {
	case errors.Is(err, ErrUnburiable):
		t.log(ctx, slog.LevelError, "the server refuses the dead letter: the job stays in the queue, and is tried again in ten minutes; see the limits of the dead stream", "reason", t.dead, "error", err)
		return handBack{after: unburiedPause}
	case err != nil:
		return err
	}
	t.w.metrics.dead.Inc()
	failpoint("buried")
	return nil
}

// insist repeats do, with growing pauses, until it succeeds or no try will. Meanwhile the
// job has no slot that a new confirmation could use, as long as there is room to wait. A
// handBack is returned when ctx ends.
func (t *task) insist(ctx context.Context, o *outage, do func() error) error {
	for wait := newBackOff(firstRetry, longRetry); ; {
		err := do()
		switch {
		case err == nil:
			o.worked()
			return nil
		case isFinal(err):
			return err
		}
		o.failed(err)
		t.log(ctx, slog.LevelDebug, "telling how the job ended failed: trying again", "error", err)
		t.park()
		if !sleep(ctx, wait.NextBackOff()) {
			return handBack{}
		}
	}
}

// isFinal tells errors that no other try would change.
func isFinal(err error) bool {
	for _, final := range []error{ErrSuperseded, ErrEnded, ErrUnsendable, ErrUnburiable} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

func (t *task) event(r Result) *Event {
	e := &Event{
		ID: t.eventID(r.Outcome), JobID: t.job.ID, WcID: t.job.WcID, Tenant: t.job.Tenant, Labels: t.job.Labels,
		Result: r, Attempts: t.d.Attempts, Worker: t.w.Pod,
		RequestedAt: t.job.RequestedAt, Traceparent: t.d.Traceparent,
	}
	if e.RequestedAt.IsZero() {
		e.RequestedAt = t.d.StoredAt
	}
	return e
}

// eventID returns the id of the job's event. One that says that the job is invalid is about
// the message and its copies: the job has another one once it is mended and sent again.
func (t *task) eventID(o Outcome) string {
	if o == Invalid {
		return eventID(t.job.WcID, t.record+recordMark+t.d.digest())
	}
	return eventID(t.job.WcID, t.record)
}

// took counts and logs that the delivery was taken.
func (t *task) took(ctx context.Context) {
	if t.d.Attempts > 1 {
		t.w.metrics.redelivered.Inc()
	}
	t.log(ctx, slog.LevelDebug, "job taken", "lane", t.d.Lane, "deliveries", t.d.Attempts, "sequence", t.d.Sequence)
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
		outcome = string(Unknown)
	}
	t.w.metrics.confirmation.WithLabelValues(outcome).Observe(time.Since(t.called).Seconds())
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
	if e.Reconciled {
		attrs = append(attrs, "reconciled", true)
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
