package worker

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// task is one delivery of a job on its way through the pipeline.
type task struct {
	w   *Worker
	d   *Delivery
	job *Job

	record    string    // names the job in the store
	dead      error     // why the job goes to the dead stream
	exhausted bool      // it was delivered too often
	known     bool      // its event may be stored already
	since     time.Time // then not before this
	sole      time.Time // by the store's clock: no other delivery can have ended the job before; zero: not known
	first     bool      // the store proves that no other delivery has ended the job before this one
	certain   bool      // the account was granted when no other delivery could have ended the job

	attempts string    // names those that did not reach the gateway, "" when there was none
	asks     int       // of them
	token    string    // of the last one, "" when it left nothing to let go of
	used     string    // of the attempt that reached the gateway
	asked    time.Time // before the last begin was sent
	answer   Answer    // to it
	now      time.Time // what the store's clock said then

	access    Access
	refusal   error                      // what the gateway said when it refused the credential for this job
	trial     bool                       // it may try although its tenant is paused
	ambiguity error                      // why the answer to this job's own prompt is not known
	doubtedAt time.Time                  // when that came up: the prompt was made before
	tries     int                        // calls to the gateway
	retries   backoff.ExponentialBackOff // between them
	refusals  backoff.ExponentialBackOff // between them, after refusals
	looks     backoff.ExponentialBackOff // between looks at the online list
	reserved  bool                       // its turn under the tenant's rate has come

	place   *waiter // in the lot
	have    sharing // the result that its crowd there knew when it asked last
	slot    bool    // it has one of the pod's
	counted bool    // in its tenant's share
	parked  bool
	lender  lender

	startedAt time.Time
	called    time.Time // when the last call to the gateway began
	taken     time.Time
	decided   time.Time     // when it was known how the job ends, or before
	elsewhere time.Duration // spent in the gateway, or waiting
}

func (w *Worker) newTask(d *Delivery) *task {
	return &task{
		w: w, d: d, job: &Job{},
		exhausted: d.Attempts > w.MaxDeliveries,
		since:     d.StoredAt, startedAt: time.Now(), taken: time.Now(), doubtedAt: time.Now(),
		slot: true, retries: newBackOff(firstRetry, longRetry), looks: newBackOff(time.Second, longRetry),
		refusals: newBackOff(firstRefusal, longRefusal),
	}
}

// newBackOff returns pauses that grow by half, with as much jitter.
func newBackOff(first, longest time.Duration) backoff.ExponentialBackOff {
	return backoff.ExponentialBackOff{
		InitialInterval: first, MaxInterval: longest,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
}

// leave gives back what the task still holds in the pod.
func (t *task) leave() {
	if t.place != nil {
		t.place.leave()
	}
	t.returnTrial()
	t.unpark()
	t.freeSlot()
}

// nextAsk asks with a token that makes void what earlier ones may have been granted.
func (t *task) nextAsk() Ask {
	if t.attempts == "" {
		t.attempts, t.asks = t.w.run+strconv.FormatUint(t.w.attempts.Add(1), 36), 0
	}
	t.asks++
	t.token = t.attempts + "#" + strconv.Itoa(t.asks)
	if t.place != nil {
		t.have = t.place.ask()
	}
	return t.ask()
}

// spend notes that the token has reached the gateway: the next ask is about a new attempt.
func (t *task) spend() { t.token, t.attempts, t.reserved = "", "", false }

func (t *task) ask() Ask {
	return Ask{
		WcID: t.job.WcID, JobID: t.record, Tenant: t.job.Tenant,
		Token: t.token, Pod: t.w.Pod, Have: t.have.token,
		StoredAt: t.d.StoredAt, Deadline: t.job.Deadline,
	}
}

// told takes over what the store answered to the last ask.
func (t *task) told() {
	answer := &t.answer
	if t.now = answer.Now; t.sole.IsZero() && t.d.Attempts == 1 && answer.State != Suspended {
		t.sole = t.now.Add(t.w.Freshness - sinceBothClocks(t.taken))
	}
	t.known = t.known || answer.Known
	answer.By = jobID(answer.By)
	if answer.State != Granted && answer.State != Suspended {
		t.token = ""
	}
	if answer.State == Granted {
		t.certain = t.now.Before(t.sole)
	}
	if answer.State == Shared && answer.Result == nil {
		answer.Result = t.have.result
	}
	if t.place != nil {
		t.place.told(answer.State, sharing{answer.Token, answer.Result})
	}
}

// release lets go of the account after an attempt that was not used.
func (t *task) release(ctx context.Context) {
	if t.token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	waited, err := t.w.locker.Release(ctx, t.ask())
	if err != nil {
		// The next ask makes up for it.
		t.w.outages.store.failed(err)
		t.log(ctx, slog.LevelDebug, "letting go of the account failed: it stays locked until the job asks again or its lease ends", "error", err)
		return
	}
	failpoint("released")
	t.token = ""
	if waited {
		t.w.queue.Freed(t.job.WcID)
	}
}

// conclude returns how the job ends without a prompt of its own.
func (t *task) conclude(r Result) (*Conclusion, error) {
	if r.StartedAt.IsZero() {
		r.StartedAt = t.startedAt
	}
	if r.FinishedAt.IsZero() {
		r.FinishedAt = t.clock()
	}
	end := &Conclusion{
		WcID: t.job.WcID, JobID: t.record, Tenant: t.job.Tenant,
		StoredAt: t.d.StoredAt, Result: r, Sole: t.sole,
	}
	if r.Outcome == Invalid {
		end.Digest = t.d.digest()
	}
	return end, nil
}

// answered concludes with what the gateway replied to this job's prompt.
func (t *task) answered(reply Reply) (*Conclusion, error) {
	t.w.protect(reply.Login)
	end, err := t.conclude(Result{
		Outcome: reply.Outcome, Code: reply.Code, Message: reply.Message, Login: reply.Login, Prompted: true,
	})
	end.Token = t.used
	if reply.Outcome == Failed && t.w.Cooldown > 0 {
		end.Cooldown = t.w.Cooldown
		end.Result.RetryAfter = end.Result.FinishedAt.Add(t.w.Cooldown)
	}
	return end, err
}

// unknown concludes a confirmation whose answer can't be learned. Its prompt may be open
// for that time: the lock of that token stays.
func (t *task) unknown(token string, open time.Duration) (*Conclusion, error) {
	message := "the worker was cut off while the prompt may have been open"
	if t.ambiguity != nil {
		message = t.ambiguity.Error()
	}
	end, err := t.conclude(Result{Outcome: Unknown, Message: message, Prompted: true})
	end.Token, end.Keep = token, true
	if open > 0 {
		end.Result.RetryAfter = t.now.Add(open)
	}
	return end, err
}

// reject concludes a job that is wrong in itself.
func (t *task) reject(reason error) (*Conclusion, error) {
	t.dead = errors.Join(ErrInvalidJob, reason)
	return t.conclude(Result{Outcome: Invalid, Message: reason.Error()})
}

// giveUp concludes a job that was delivered too often without coming to an end, unless
// it was handed back so often.
func (t *task) giveUp(ctx context.Context) (*Conclusion, error) {
	excused, err := t.w.locker.Excused(ctx, t.job.WcID, t.record)
	switch {
	case err != nil:
		t.w.outages.store.failed(err)
		t.release(ctx)
		return nil, t.standBy(t.retries.NextBackOff())
	case t.d.Attempts-excused <= t.w.MaxDeliveries:
		t.exhausted = false
		return t.step(ctx)
	case t.answer.State == Done || t.answer.State == Ended:
		t.exhausted = false
		return t.step(ctx)
	}
	t.release(ctx)
	t.dead, t.known = errExhausted, true
	end, err := t.conclude(Result{Outcome: Unknown, Message: errExhausted.Error()})
	if t.answer.Own || t.answer.State == InDoubt {
		end.Token, end.Keep, end.Result.Prompted = t.answer.Token, true, true
	}
	return end, err
}

var errExhausted = errors.New("delivered too often without coming to an end")

// listed returns the account's login when the online list has a new one. One that is
// known from the account's last event was there before this prompt, and shows nothing.
func (t *task) listed(ctx context.Context) (*Login, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
	defer cancel()
	login, err := t.w.gateway.Online(ctx, t.job.Tenant, t.job.WcID, t.doubtedAt)
	if login == nil || err != nil {
		return nil, err
	}
	known, err := t.w.queue.LastWID(ctx, t.job.WcID)
	if err != nil || known == login.WID {
		return nil, err
	}
	t.w.protect(login)
	return login, nil
}

// late tells whether another delivery may have ended the job meanwhile, so that nothing
// but its event tells: a mark is kept for more than Freshness.
func (t *task) late() bool {
	return t.d.Attempts > 1 || sinceBothClocks(t.taken) > t.w.Freshness
}

// published tells whether the event of that id is in the stream already.
func (t *task) published(ctx context.Context, eventID string) (bool, error) {
	return t.w.queue.Published(ctx, t.job.WcID, eventID, t.since)
}

// clock is the store's clock, which all pods share, once it is known.
func (t *task) clock() time.Time {
	if t.now.IsZero() {
		return time.Now()
	}
	return t.now.Add(time.Since(t.asked))
}

// sinceBothClocks is how long ago t was by the monotonic or the wall clock, whichever
// says more: the first stands still while a machine sleeps, the second may be set.
func sinceBothClocks(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

func (t *task) log(ctx context.Context, level slog.Level, message string, args ...any) {
	if t.w.Logger.Enabled(ctx, level) {
		t.w.Logger.Log(ctx, level, message, append([]any{"job", clip(t.job.ID), "account", clip(t.job.WcID)}, args...)...)
	}
}

// clip returns what fits into a log line of a name that may break the rules.
func clip(name string) string { return strings.ToValidUTF8(name[:min(len(name), maxNameBytes)], "") }
