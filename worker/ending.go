package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// ends ends the job so: without a prompt of its own, unless the caller adds its token.
func (t *task) ends(r job.Result) *next {
	r.StartedAt = cmp.Or(r.StartedAt, t.startedAt)
	r.FinishedAt = cmp.Or(r.FinishedAt, t.clock())
	end := &Conclusion{
		WcID: t.job.WcID, JobID: t.record, Tenant: t.job.Tenant,
		StoredAt: t.d.StoredAt, Result: r, SoleUntil: t.evidence.soleUntil,
	}
	if r.Outcome == job.Invalid {
		end.Digest = job.Digest(t.d.Data)
	}
	return &next{end: end}
}

// endsDead ends a job that goes to the dead stream, too.
func (t *task) endsDead(o job.Outcome, dead error) *next {
	n := t.ends(job.Result{Outcome: o, Message: dead.Error()})
	n.dead = dead
	return n
}

// reject ends a job that is wrong in itself.
func (t *task) reject(reason error) *next {
	n := t.endsDead(job.Invalid, reason)
	n.dead = errors.Join(job.ErrInvalidJob, reason)
	return n
}

// answered ends the job with what the gateway replied to its prompt.
func (t *task) answered(reply Reply) *next {
	t.w.protect(reply.Login)
	n := t.ends(job.Result{
		Outcome: reply.Outcome, Code: reply.Code, Message: reply.Message, Login: reply.Login, Prompted: true,
	})
	n.end.Token = t.claim.sentToken
	if reply.Outcome == job.Failed && t.w.Cooldown > 0 {
		n.end.Cooldown = t.w.Cooldown
		n.end.Result.RetryAfter = n.end.Result.FinishedAt.Add(t.w.Cooldown)
	}
	return n
}

// refuse notes that the gateway refused the credential for this job, which tries again
// after pauses that grow, or when the credential has changed.
func (t *task) refuse(ctx context.Context, err error) *next {
	t.refused, t.trial = true, false
	if now, err := t.w.gateway.Access(t.job.Tenant); err == nil && now.Fingerprint != t.access.Fingerprint {
		return again(noPause) // it was another credential
	}
	changed := t.w.refusals.add(t.credential(), t.job.WcID, time.Since(t.sentAt), err)
	t.log(ctx, slog.LevelDebug, "the gateway refused the credential for this job: trying again later", "tenant", t.job.Tenant, "error", err)
	p := t.pauseInTime(WaitsForCredential, t.refusalRetries.NextBackOff())
	p.woken = changed
	return again(p)
}

// await waits for the confirmation that another job, or an earlier delivery of this one,
// has open.
func (t *task) await(ctx context.Context) *next {
	atMost := t.answer.Wait + jitter(leaseSlack)
	if t.answer.Own && (t.ambiguity != nil || t.d.Attempts > 1) { // else the call is under way elsewhere
		if next := t.reconcile(ctx); next != nil {
			return next
		}
		atMost = min(atMost, t.looks.NextBackOff())
	}
	if t.waiter == nil {
		place, err := t.w.waiters.add(ctx, t.job.WcID, t.job.Tenant)
		if err != nil {
			t.w.outages.jobs.failed(err)
			t.log(ctx, slog.LevelDebug, "watching the account's events failed: trying again", "error", err)
			return again(t.standBy(WaitsForNATS, t.retries.NextBackOff()))
		}
		t.waiter = place
		return again(noPause) // the confirmation may have ended before the subscription stood
	}
	t.log(ctx, slog.LevelDebug, "waiting for the account", "behind", t.answer.By, "of", t.answer.Pod, "until", t.answer.Now.Add(t.answer.Wait))
	p := t.pauseInTime(WaitsForAccount, atMost)
	if t.answer.Own {
		p = t.pause(WaitsForAccount, atMost)
	}
	p.woken, p.observe = t.waiter.woke, t.w.Metrics.lockWait
	return again(p)
}

// share takes over the outcome of the confirmation that this job was found waiting for.
func (t *task) share() *next {
	r := *t.answer.Result
	r.SharedWith, r.Prompted = t.answer.By, false
	r.StartedAt, r.FinishedAt = t.startedAt, t.clock()
	n := t.ends(r)
	n.end.Shared = t.answer.Token
	return n
}

// reconcile learns from the online list how this job's own confirmation ended, whose
// answer was lost with the pod or on the way. The prompt may still be open: the lock stays.
// It returns nil while that is not known.
func (t *task) reconcile(ctx context.Context) *next {
	login, err := t.newLogin(ctx)
	switch {
	case err == nil:
		n := t.ends(job.Result{Outcome: job.Succeeded, Login: login, Prompted: true, Reconciled: true})
		n.end.Token, n.end.Keep = t.answer.Token, true
		return n
	case errors.Is(err, ErrNoList) && t.ambiguity != nil:
		return t.unknown(t.answer.Token, t.answer.Wait)
	case !errors.Is(err, ErrNoList) && !errors.Is(err, ErrNotOnline):
		t.log(ctx, slog.LevelWarn, "asking who is online failed: trying again", "error", err)
	}
	return nil
}

// newLogin returns the account's login when the online list has a new one, else
// [ErrNotOnline]. One that is known from the account's last event was there before this
// prompt, and shows nothing.
func (t *task) newLogin(ctx context.Context) (*job.Login, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	login, err := t.w.gateway.Online(ctx, t.job.Tenant, t.job.WcID, t.ambiguousAt)
	if err != nil {
		return nil, err
	}
	known, err := t.w.queue.LastWID(ctx, t.job.WcID)
	if err != nil {
		return nil, err
	}
	if known == login.WID {
		return nil, ErrNotOnline
	}
	t.w.protect(login)
	return login, nil
}

// unknown ends a job whose answer can't be learned. Its prompt may be open for that time:
// the lock of that token stays.
func (t *task) unknown(token string, open time.Duration) *next {
	message := "the worker was cut off while the prompt may have been open"
	if t.ambiguity != nil {
		message = t.ambiguity.Error()
	}
	n := t.ends(job.Result{Outcome: job.Unknown, Message: message, Prompted: true})
	n.end.Token, n.end.Keep = token, true
	if open > 0 {
		n.end.Result.RetryAfter = t.storeTime.Add(open)
	}
	return n
}

// giveUp ends a job that was delivered too often without coming to an end. It returns nil
// when the job was handed back so often, or has a result already.
func (t *task) giveUp(ctx context.Context) *next {
	snoozed, err := t.w.locker.Snoozed(ctx, t.job.WcID, t.record)
	switch {
	case err != nil:
		t.w.outages.store.failed(err)
		return again(t.standBy(WaitsForStore, t.retries.NextBackOff()))
	case t.d.Attempts-snoozed <= t.w.MaxDeliveries, t.answer.State == Done, t.answer.State == Ended:
		t.exhausted = false
		return nil
	}
	t.evidence.maybePublished = true
	n := t.endsDead(job.Unknown, errors.New("delivered too often without coming to an end"))
	if t.answer.Own || t.answer.State == InDoubt {
		n.end.Token, n.end.Keep, n.end.Result.Prompted = t.answer.Token, true, true
	}
	return n
}
