package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// handle takes one delivery through its life, and settles it. It blocks until then.
// ctx ends when what is cut off must be cut off, after some time later: what has happened
// is told until then.
func (w *Worker) handle(ctx, after context.Context, d *Delivery) {
	t := w.newTask(d)
	defer t.leave()
	defer t.survive(ctx)
	failpoint("taken")
	t.job, t.record, t.dead = d.read()
	t.took(ctx)
	for {
		end, err := t.pursue(ctx)
		if err == nil {
			err = t.finish(after, end)
		}
		if errors.Is(err, ErrSuperseded) && t.dead == nil {
			continue // another delivery of the job is at work: wait for it
		}
		t.settle(after, end, err)
		return
	}
}

// pursue asks for the account until it is known how the job ends. The error is
// [ErrEnded], or a handBack.
func (t *task) pursue(ctx context.Context) (*Conclusion, error) {
	if t.dead != nil {
		return t.conclude(Result{Outcome: Invalid, Message: t.dead.Error()})
	}
	for {
		if err := t.begin(ctx); err != nil {
			return nil, err
		}
		end, err := t.step(ctx)
		if end != nil || err != nil {
			return end, err
		}
	}
}

// step does what the answer allows. It returns nil and no error when the job must ask again.
func (t *task) step(ctx context.Context) (*Conclusion, error) {
	if t.exhausted {
		return t.giveUp(ctx)
	}
	if t.answer.State != Suspended {
		t.w.outages.trust.worked()
	}
	switch t.answer.State {
	case Granted:
		return t.granted(ctx)
	case Held:
		return t.await(ctx)
	case Shared:
		return t.share()
	case InDoubt:
		t.known = true // a delivery that knew more may have published it without storing it
		return t.resolveDoubt(ctx)
	case Cooling:
		return t.conclude(Result{Outcome: Throttled, Message: t.answer.Reason, RetryAfter: t.answer.RetryAt})
	case TooLate:
		return t.tooLate()
	case Suspended:
		t.w.outages.trust.failed(fmt.Errorf("for %v from now on", t.answer.Wait.Round(time.Second)))
		return nil, t.standBy(t.answer.Wait)
	case Done:
		t.known, t.since = true, t.answer.Since
		return t.conclude(*t.answer.Result)
	case Ended:
		return nil, ErrEnded
	}
	return nil, fmt.Errorf("step: unknown state %q", t.answer.State)
}

// tooLate concludes a job whose deadline has passed, or is too near.
func (t *task) tooLate() (*Conclusion, error) {
	if paused, _ := t.w.refusals.of(t.job.Tenant); paused != nil || t.refusal != nil {
		return t.conclude(Result{Outcome: Unauthorized, Message: ErrRefused.Error()})
	}
	return t.conclude(Result{Outcome: Expired, Message: "too little time was left before the deadline"})
}

// begin asks for the account: one round trip, shared with other jobs. It tries again
// while the store can't be reached, without a slot where there is room to wait: others'
// accounts may be in a part of the store that works.
func (t *task) begin(ctx context.Context) error {
	if t.place == nil {
		t.place = t.w.lot.join(t.job.WcID, t.job.Tenant)
	}
	for wait := newBackOff(firstRetry, longRetry); ; {
		if t.w.isStopping() {
			t.release(ctx)
			return handBack{}
		}
		t.asked = time.Now()
		failpoint("asking")
		err := t.lending(func() error {
			answer, err := t.w.locker.Begin(ctx, t.nextAsk())
			t.answer = answer
			return err
		})
		if err == nil {
			failpoint("asked")
			t.told()
			t.w.outages.store.worked()
			return nil
		}
		t.w.outages.store.failed(err)
		t.log(ctx, slog.LevelDebug, "asking for the account failed: trying again", "error", err)
		if err := t.standBy(wait.NextBackOff()); err != nil {
			t.release(ctx)
			return err
		}
	}
}

// granted calls the gateway, unless something stands in the way: then it lets go of
// the account before it waits.
func (t *task) granted(ctx context.Context) (*Conclusion, error) {
	wait, err := t.obstacle(ctx)
	if wait == nil && err == nil {
		return t.confirm(ctx)
	}
	t.release(ctx)
	if err != nil {
		return nil, err
	}
	return wait(ctx)
}

// obstacle returns how to wait for what forbids the call now, nil when nothing does.
// [ErrEnded] is returned when this redelivered job's event is stored already.
func (t *task) obstacle(ctx context.Context) (wait func(context.Context) (*Conclusion, error), err error) {
	access, unknown := t.w.gateway.Access(t.job.Tenant)
	if unknown != nil {
		return func(context.Context) (*Conclusion, error) { return t.reject(unknown) }, nil
	}
	t.access = access
	if changed, trial := t.w.refusals.of(t.job.Tenant); changed != nil && !t.trial {
		return func(context.Context) (*Conclusion, error) { return nil, t.awaitCredential(changed, trial) }, nil
	}
	if t.ambiguity != nil {
		return func(context.Context) (*Conclusion, error) { return t.unknown("", 0) }, nil
	}
	if !t.takeSlot() {
		return t.awaitSlot, nil
	}
	if !t.certain || t.known {
		if published, err := t.published(ctx, t.eventID("")); err != nil {
			t.w.outages.events.failed(err)
			t.log(ctx, slog.LevelDebug, "looking for the job's event failed: trying again", "error", err)
			return t.pauseFor(t.retries.NextBackOff()), nil
		} else if published {
			return nil, ErrEnded
		}
		t.certain = true
	}
	return t.rate(ctx)
}

// confirm makes the phone ask, and blocks until the person has answered.
func (t *task) confirm(ctx context.Context) (*Conclusion, error) {
	var reply Reply
	var err error
	ran := t.w.breakers.at(t.access.Address).call(func(sent func()) error {
		reply, err = t.call(ctx, sent)
		return err
	}, healthy, t.tries == 0)
	t.tries++
	if !ran {
		t.release(ctx)
		return t.pauseFor(t.retries.NextBackOff())(ctx)
	}
	if t.used == t.token {
		t.measure(reply, err)
	}
	return t.replied(ctx, reply, err)
}

// replied goes by what the call has brought. It is apart from confirm, whose frame every
// open confirmation keeps.
func (t *task) replied(ctx context.Context, reply Reply, err error) (*Conclusion, error) {
	switch {
	case err == nil:
		t.spend()
		t.trial = false
		t.w.refusals.accept(t.job.Tenant, t.access.Fingerprint)
		return t.answered(reply)
	case errors.Is(err, errSlow):
		t.release(ctx)
		t.w.outages.sending.failed(err)
		t.log(ctx, slog.LevelDebug, "the request was not sent in time: trying again later")
		return t.pauseFor(t.retries.NextBackOff())(ctx)
	case errors.Is(err, ErrUnknownTenant):
		t.release(ctx)
		return t.reject(err)
	case errors.Is(err, ErrRefused):
		t.release(ctx)
		return t.refused(ctx, err)
	case errors.Is(err, ErrNotStarted):
		t.release(ctx)
		t.log(ctx, slog.LevelDebug, "the gateway did not start the confirmation: trying again later", "error", err)
		return t.pauseFor(t.retries.NextBackOff())(ctx)
	}
	t.spend() // a prompt may be open
	if ctx.Err() != nil {
		t.log(ctx, slog.LevelWarn, "the call was cut off: the account stays locked until its lease ends", "error", err)
		return nil, handBack{}
	}
	t.ambiguity, t.doubtedAt = err, time.Now()
	t.log(ctx, slog.LevelDebug, "the gateway's answer is not known: the account stays locked until its lease ends", "error", err)
	return nil, nil
}

// call is the one place where a prompt is made. It calls sent when the request goes out.
func (t *task) call(ctx context.Context, sent func()) (Reply, error) {
	w := t.w
	ctx, cancel := context.WithDeadline(ctx, t.asked.Add(w.SendWindow+w.ConfirmTimeout))
	defer cancel()
	w.metrics.open.Inc()
	defer w.metrics.open.Dec()
	t.startedAt, t.called = t.clock(), time.Now()
	defer func() { t.elsewhere += time.Since(t.called) }()
	t.log(ctx, slog.LevelDebug, "asking the phone", "tenant", t.job.Tenant, "gateway", t.access.Address)
	failpoint("calling")
	defer failpoint("answered")
	return w.gateway.SecondLogin(ctx, t.job, func() error {
		if sinceBothClocks(t.asked) > w.SendWindow {
			return errSlow
		}
		t.w.outages.sending.worked()
		t.used = t.token
		sent()
		failpoint("sending")
		return nil
	})
}

// errSlow is returned when the request would go out after the send window.
var errSlow = errors.New("the send window closed before the request was written")

// healthy tells whether the end of a call shows a gateway that works. A person may
// take longer than the time-out.
func healthy(err error) bool {
	for _, fine := range []error{nil, ErrRefused, ErrUnknownTenant, errSlow, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, fine) {
			return true
		}
	}
	return false
}

// await waits in the lot for the confirmation that another job, or an earlier delivery
// of this one, has open.
func (t *task) await(ctx context.Context) (*Conclusion, error) {
	wait := t.answer.Wait + jitter(leaseSlack)
	if t.answer.Own && (t.ambiguity != nil || t.d.Attempts > 1) { // else the call is under way elsewhere
		if end, err := t.reconcile(ctx); end != nil || err != nil {
			return end, err
		}
		wait = min(wait, t.looks.NextBackOff())
	}
	if t.place == nil {
		place, err := t.w.lot.enter(ctx, t.job.WcID, t.job.Tenant)
		if err != nil {
			t.w.outages.jobs.failed(err)
			t.log(ctx, slog.LevelDebug, "watching the account's events failed: trying again", "error", err)
			return nil, t.standBy(t.retries.NextBackOff())
		}
		t.place = place
		return nil, nil // once more: the confirmation may have ended before the subscription stood
	}
	t.log(ctx, slog.LevelDebug, "waiting for the account", "behind", t.answer.By, "of", t.answer.Pod, "until", t.answer.Now.Add(t.answer.Wait))
	started := time.Now()
	defer func() { t.w.metrics.lockWait.Observe(time.Since(started).Seconds()) }()
	return nil, t.wait(min(wait, t.left()), t.place.woke)
}

// share takes over the outcome of the confirmation that this job was found waiting for.
func (t *task) share() (*Conclusion, error) {
	r := *t.answer.Result
	r.SharedWith, r.Prompted = t.answer.By, false
	r.StartedAt, r.FinishedAt = t.startedAt, t.clock()
	end, err := t.conclude(r)
	end.Shared = t.answer.Token
	return end, err
}

// reconcile learns from the online list how this job's own confirmation ended, whose
// answer was lost with the pod or on the way. The prompt may still be open: the lock stays.
func (t *task) reconcile(ctx context.Context) (*Conclusion, error) {
	login, err := t.listed(ctx)
	switch {
	case login != nil:
		end, _ := t.conclude(Result{Outcome: Succeeded, Login: login, Prompted: true, Reconciled: true})
		end.Token, end.Keep = t.answer.Token, true
		return end, nil
	case errors.Is(err, ErrNoList) && t.ambiguity != nil:
		return t.unknown(t.answer.Token, t.answer.Wait)
	case err != nil && !errors.Is(err, ErrNoList):
		t.log(ctx, slog.LevelWarn, "asking who is online failed: trying again", "error", err)
	}
	return nil, nil
}

// resolveDoubt ends a job whose confirmation has ended without an t.answer. It never
// prompts again by itself.
func (t *task) resolveDoubt(ctx context.Context) (*Conclusion, error) {
	if end, err := t.reconcile(ctx); end != nil || err != nil {
		return end, err
	}
	return t.unknown(t.answer.Token, t.answer.Wait)
}
