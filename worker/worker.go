package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// process takes one delivery through its life, and settles it. It blocks until then.
func (w *Worker) process(run lifetime, d *job.Delivery) {
	t := w.newTask(d)
	defer t.close(run) // gives back what it still holds: its slot, its place, a grant that was not used
	defer t.recoverPanic(run)
	failpoint("taken")
	next := t.remember(run, t.decode(run))
	for next.again != nil {
		if next = t.wait(run, next.again); next == nil {
			next = t.remember(run, t.attempt(run))
		}
	}
	t.settle(run, next)
}

// next is what is to be done with a job. Its zero value says that the job's event is stored
// already, so that nothing is left to do but to take the job from the queue.
type next struct {
	again *pause         // ask for the account again, after this pause
	end   *Conclusion    // remember that the job ends so, and publish its event
	dead  error          // put the job into the dead stream for this reason, after its event if it has one
	back  *time.Duration // return the job to the queue, which delivers it again after that time
}

func again(p *pause) *next           { return &next{again: p} }
func back(after time.Duration) *next { return &next{back: &after} }

// tryAgain has the job ask again after a failure that may pass.
func (t *task) tryAgain(r Reason) *next { return again(t.pauseInTime(r, t.retries.NextBackOff())) }

// decode reads the job. One that is wrong in itself ends at once.
func (t *task) decode(run lifetime) *next {
	var wrong error
	t.job, t.record, wrong = t.d.Read()
	if t.d.Attempts > 1 {
		t.w.Metrics.redelivered.Inc()
	}
	t.log(run.calls, slog.LevelDebug, "job taken", "lane", t.d.Lane, "deliveries", t.d.Attempts, "sequence", t.d.Sequence)
	t.w.inFlight.does(t, Activity{Doing: Working})
	if wrong != nil {
		return t.endsDead(job.Invalid, wrong)
	}
	return again(noPause)
}

// attempt asks for the account, and makes its phone ask when it may.
func (t *task) attempt(run lifetime) *next {
	if run.waiting.Err() != nil {
		return back(0)
	}
	if t.left() > 0 && !t.mayHaveNews() {
		if next := t.paused(); next != nil {
			return next
		}
	}
	if err := t.begin(run.calls); err != nil {
		t.w.outages.store.failed(err)
		t.log(run.calls, slog.LevelDebug, "asking for the account failed: trying again", "error", err)
		return again(t.standBy(WaitsForStore, t.storeRetries.NextBackOff()))
	}
	if t.exhausted {
		if next := t.giveUp(run.calls); next != nil {
			return next
		}
	}
	if t.answer.State != Granted {
		return t.decide(run.calls)
	}
	if next := t.obstacle(run.calls); next != nil {
		return next
	}
	return t.confirm(run.calls)
}

// begin asks for the account: one round trip, shared with other jobs.
func (t *task) begin(ctx context.Context) error {
	if t.waiter == nil {
		t.waiter = t.w.waiters.tryAdd(t.job.WcID, t.job.Tenant)
	}
	failpoint("asking")
	ask := t.nextAsk()
	err := t.lending(func() (err error) {
		t.answer, err = t.w.locker.Begin(ctx, ask)
		return err
	})
	if err != nil {
		t.answer = Answer{}
		return err
	}
	failpoint("asked")
	t.w.outages.store.worked()
	if t.answer.State != Suspended {
		t.w.outages.quarantine.worked()
	}
	t.storeRetries.Reset()
	t.noteAnswer()
	return nil
}

// decide returns what to do when the account is not granted.
func (t *task) decide(ctx context.Context) *next {
	switch answer := &t.answer; answer.State {
	case Held:
		return t.await(ctx)
	case Shared:
		return t.share()
	case InDoubt: // the confirmation has ended without an answer, and is never repeated
		t.evidence.maybePublished = true // a delivery that knew more may have published it without storing it
		return cmp.Or(t.reconcile(ctx), t.unknown(answer.Token, answer.Wait))
	case Cooling:
		return t.ends(job.Result{Outcome: job.Throttled, Message: answer.Reason, RetryAfter: answer.RetryAt})
	case TooLate:
		if t.refused || t.w.refusals.wasPaused(t.job.Tenant, t.d.StoredAt, t.job.Deadline) {
			return t.ends(job.Result{Outcome: job.Unauthorized, Message: ErrRefused.Error()})
		}
		return t.ends(job.Result{Outcome: job.Expired, Message: "too little time was left before the deadline"})
	case Suspended:
		t.w.outages.quarantine.failed(fmt.Errorf("for %v from now on", answer.Wait.Round(time.Second)))
		return again(t.standBy(WaitsForLocks, answer.Wait))
	case Done:
		t.evidence.maybePublished, t.evidence.notBefore = true, answer.Since
		return t.ends(*answer.Result)
	case Ended:
		return &next{}
	}
	panic(fmt.Sprintf("the store answered with the unknown state %q", t.answer.State))
}

// obstacle returns what to do instead of calling the gateway, nil when nothing stands in
// the way.
func (t *task) obstacle(ctx context.Context) *next {
	if next := t.paused(); next != nil {
		return next
	}
	access, unknown := t.w.gateway.Access(t.job.Tenant)
	if unknown != nil {
		return t.reject(unknown)
	}
	t.access = access
	if !t.trial && !t.w.refusals.mayTry(t.job.Tenant, t.job.WcID) {
		return again(&pause{reason: WaitsForCredential, forTurn: true, atMost: max(t.left(), 0), comesBack: noRoomPause/2 + jitter(noRoomPause)})
	}
	if t.ambiguity != nil {
		return t.unknown("", 0)
	}
	if !t.takeSlot() { // the job was parked, or its tenant has its share
		return again(&pause{reason: WaitsForSlot, forSlot: true, comesBack: t.comeBack(time.Minute)})
	}
	if !t.evidence.soleWhenGranted || t.evidence.maybePublished {
		published, err := t.w.queue.Published(ctx, t.job.WcID, t.eventID(""), t.evidence.notBefore)
		switch {
		case err != nil:
			t.w.outages.events.failed(err)
			t.log(ctx, slog.LevelDebug, "looking for the job's event failed: trying again", "error", err)
			return t.tryAgain(WaitsForNATS)
		case published:
			return &next{}
		case t.answer.ConcludedBefore && t.evidence.mayStillPublish():
			return t.tryAgain(WaitsForNATS)
		}
		t.evidence.soleWhenGranted = true
	}
	return t.awaitTurn(ctx)
}

// confirm makes the phone ask, and blocks until the person has answered.
func (t *task) confirm(ctx context.Context) *next {
	var reply Reply
	var err error
	ran := t.w.breakers.at(t.access.Address).call(func(sent func()) error {
		reply, err = t.call(ctx, sent)
		return err
	}, t.calls == 0)
	t.calls++
	if !ran {
		return t.tryAgain(WaitsForGateway)
	}
	if t.claim.token != "" && t.claim.sentToken == t.claim.token {
		t.measure(reply, err)
	}
	return t.replied(ctx, reply, err)
}

// call is the one place where a prompt is made. It calls sent when the request goes out.
func (t *task) call(ctx context.Context, sent func()) (Reply, error) {
	w := t.w
	ctx, cancel := context.WithDeadline(ctx, t.claim.askedAt.Add(w.SendWindow+w.ConfirmTimeout))
	defer cancel()
	w.Metrics.open.Inc()
	defer w.Metrics.open.Dec()
	t.startedAt, t.calledAt = t.clock(), time.Now()
	w.inFlight.does(t, Activity{Doing: Asking, Until: t.calledAt.Add(w.ConfirmTimeout)})
	defer func() {
		t.elsewhere += time.Since(t.calledAt)
		w.inFlight.does(t, Activity{Doing: Working})
	}()
	t.log(ctx, slog.LevelDebug, "asking the phone", "tenant", t.job.Tenant, "gateway", t.access.Address)
	failpoint("calling")
	defer failpoint("answered")
	return w.gateway.SecondLogin(ctx, t.job, func() error {
		if sinceBothClocks(t.claim.askedAt) > w.SendWindow {
			return errSlow
		}
		if w.Pauses.Paused(t.d.Lane, t.job.Tenant, t.job.WcID) != nil {
			return errPaused
		}
		w.outages.sending.worked()
		t.claim.sentToken = t.claim.token
		t.sentAt = time.Now()
		w.refusals.whenHeldOpen(ctx, t.credential())
		sent()
		failpoint("sending")
		return nil
	})
}

var (
	errSlow   = errors.New("the send window closed before the request was written")
	errPaused = errors.New("a person has paused it before the request was written")
)

// replied goes by what the call has brought. It is apart from confirm, whose frame every
// open confirmation keeps.
func (t *task) replied(ctx context.Context, reply Reply, err error) *next {
	switch {
	case err == nil:
		t.claim.spend()
		t.trial = false
		t.w.refusals.accept(t.credential(), t.job.WcID)
		return t.answered(reply)
	case errors.Is(err, errSlow):
		t.w.outages.sending.failed(err)
		t.log(ctx, slog.LevelDebug, "the request was not sent in time: trying again later")
		return t.tryAgain(WaitsForGateway)
	case errors.Is(err, errPaused):
		return again(noPause)
	case errors.Is(err, ErrUnknownTenant):
		return t.reject(err)
	case errors.Is(err, ErrRefused):
		return t.refuse(ctx, err)
	case errors.Is(err, ErrNotStarted):
		t.log(ctx, slog.LevelDebug, "the gateway did not start the confirmation: trying again later", "error", err)
		return t.tryAgain(WaitsForGateway)
	}
	t.claim.spend() // a prompt may be open
	if ctx.Err() != nil {
		t.log(ctx, slog.LevelWarn, "the call was cut off: the account stays locked until its lease ends", "error", err)
		return back(0)
	}
	t.ambiguity, t.ambiguousAt = err, time.Now()
	t.log(ctx, slog.LevelDebug, "the gateway's answer is not known: the account stays locked until its lease ends", "error", err)
	return again(noPause)
}

// remember has the store remember how the job ends, if it does, so that every delivery of it
// agrees. The result that counts is left in the conclusion. It tries until that is stored, or
// the worker must go before. A grant that was not used is given back first.
func (t *task) remember(run lifetime, n *next) *next {
	if t.answer.State == Granted {
		t.release(run.calls)
	}
	if n.end == nil {
		return n
	}
	t.decidedAt = time.Now()
	if t.job.WcID == "" {
		return n // nothing can be remembered of it
	}
	failpoint("concluded")
	var finished Finished
	err := t.retry(run.telling, &t.w.outages.store, false, func() (err error) {
		finished, err = t.w.locker.Finish(run.telling, *n.end)
		if errors.Is(err, ErrLeaseLost) {
			t.leaseLost(run.telling, n.end)
			t.evidence.maybePublished, err = true, nil
		}
		return err
	})
	switch {
	case errors.Is(err, ErrSuperseded) && n.dead == nil:
		return again(noPause) // another delivery of the job is at work: wait for it
	case errors.Is(err, ErrSuperseded), errors.Is(err, ErrEnded):
		return &next{dead: n.dead} // the other delivery publishes the event, or has
	case err != nil:
		return back(0)
	}
	failpoint("stored")
	e := &t.evidence
	e.first = finished.First && (n.end.Token == "" || e.soleWhenGranted)
	e.maybePublished = e.maybePublished || finished.ConcludedBefore
	e.notBefore = cmp.Or(finished.Since, e.notBefore)
	n.end.Result = finished.Result
	return n
}

// settle ends the delivery: the event is stored, and only then is the job taken from
// the queue. Here, and only here, a job's end is logged.
func (t *task) settle(run lifetime, n *next) {
	ctx := run.telling
	if n.end != nil {
		n = t.announce(ctx, n)
	}
	if n.dead != nil && n.back == nil {
		n = t.bury(ctx, n)
	}
	switch {
	case n.back != nil:
		t.w.locker.Snooze(t.job.WcID, t.record)
		t.d.HandBack(*n.back)
		failpoint("handedBack")
		t.log(ctx, slog.LevelDebug, "job handed back", "after", *n.back)
	case n.dead != nil:
		t.d.Term()
		if n.end != nil && n.end.Result.Outcome != job.Invalid {
			t.w.locker.Shrink(t.job.WcID, t.record)
		}
		t.log(ctx, slog.LevelWarn, "job moved to the dead stream: see its reason, and publish it again when it is mended", "reason", n.dead)
	case n.end == nil:
		t.d.Ack()
		t.log(ctx, slog.LevelDebug, "job left the queue without an event of its own: that is stored already")
	default:
		t.d.Ack()
		failpoint("acked")
		t.w.locker.Shrink(t.job.WcID, t.record)
	}
}
