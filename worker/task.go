package worker

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/relogin/relogin/worker/job"
)

// lifetime says for how long the parts of a job's work may go on.
type lifetime struct {
	waiting context.Context // ends when the worker stops and takes no more jobs: one that only waits returns to the queue, where another pod gets it
	calls   context.Context // ends when the grace for open confirmations is over: they are cut off
	telling context.Context // ends some time later: until then it is told what has happened
}

// task is one delivery of a job on its way through the pipeline.
type task struct {
	w      *Worker
	d      *job.Delivery
	job    *job.Job
	record string // names the job in the store

	activity Activity      // what is done with the job now; guarded by the lock of inFlight
	nudge    chan struct{} // has a job that waits look again; nil until it waits; guarded so, too
	nudged   bool          // it is to look again whatever it waits for

	answer    Answer    // the store's last
	storeTime time.Time // the store's clock when it was given

	claim    claim
	evidence evidence

	slot      bool           // it holds one of the pod's slots for confirmations
	slotOwner string         // the tenant in whose share that is, or nobody
	waiter    *waiter        // its place among those that wait for the account
	lent      sync.WaitGroup // is waited for before the task goes on: the slot is being given back meanwhile

	exhausted   bool          // the job was delivered too often
	access      Access        // where and as whom the gateway is called
	calls       int           // to the gateway so far
	refused     bool          // the gateway has refused the credential for this job
	sentAt      time.Time     // when its request was sent
	trial       bool          // the job may try although its tenant is paused
	ambiguity   error         // why the answer to this job's own prompt is not known
	ambiguousAt time.Time     // when that came up: the prompt was made before
	shared      sharedResult  // the result that those who wait for the account knew when this job asked last
	takenAt     time.Time     // when the delivery was taken
	startedAt   time.Time     // by the store's clock: when the last call to the gateway began
	calledAt    time.Time     // the same by this machine's clock
	decidedAt   time.Time     // when it was known how the job ends, or before
	elsewhere   time.Duration // the time spent in the gateway and in pauses

	retries        backoff.ExponentialBackOff // pauses after failures that may pass
	storeRetries   backoff.ExponentialBackOff // pauses while the store can't be asked
	refusalRetries backoff.ExponentialBackOff // pauses after refusals
	looks          backoff.ExponentialBackOff // pauses between looks at the online list
}

// claim is the attempt to be granted the account. Its token names it in the store.
type claim struct {
	attempt   string    // what is the same in the tokens of asks that follow each other until one is sent
	asks      int       // how many there were
	token     string    // of the last ask, empty when it left nothing to let go of
	sentToken string    // of the ask whose request went to the gateway
	askedAt   time.Time // before the last ask was sent
	reserved  bool      // the turn under the tenant's rate has come
}

// spend notes that the gateway may have made a prompt: what was granted is used up, and the
// next ask is about a new attempt.
func (c *claim) spend() { c.token, c.attempt, c.reserved = "", "", false }

// evidence is what is known of other deliveries of the job, which may have ended it.
type evidence struct {
	maybePublished  bool      // one may have stored the job's event
	notBefore       time.Time // no event of the job was stored before
	soleUntil       time.Time // by the store's clock: until then no other delivery can have ended the job; zero: not known
	soleWhenGranted bool      // no other delivery could have ended the job when the account was granted
	first           bool      // the store proves that no other delivery has ended the job before this one
	concludedSeen   time.Time // when it was first seen that another one has concluded the job, and no event
}

// mayStillPublish tells whether a delivery that has concluded the job may be about to publish
// its event: it repeats that as long as it lives. One that died never will.
func (e *evidence) mayStillPublish() bool {
	e.concludedSeen = cmp.Or(e.concludedSeen, time.Now())
	return time.Since(e.concludedSeen) < publishGrace
}

func (w *Worker) newTask(d *job.Delivery) *task {
	now := time.Now()
	return &task{
		w: w, d: d, job: &job.Job{},
		exhausted: d.Attempts > w.MaxDeliveries,
		takenAt:   now, startedAt: now, ambiguousAt: now,
		evidence: evidence{notBefore: d.StoredAt},
		slot:     true,
		retries:  newBackOff(firstRetry, longRetry), storeRetries: newBackOff(firstRetry, longRetry),
		refusalRetries: newBackOff(firstRefusal, longRefusal), looks: newBackOff(time.Second, longRetry),
	}
}

// newBackOff returns pauses that grow by half, with as much jitter.
func newBackOff(first, longest time.Duration) backoff.ExponentialBackOff {
	return backoff.ExponentialBackOff{
		InitialInterval: first, MaxInterval: longest,
		Multiplier: backoff.DefaultMultiplier, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}
}

// close gives back what the task still holds.
func (t *task) close(run lifetime) {
	t.release(run.calls)
	if t.waiter != nil {
		t.waiter.leave()
	}
	t.returnTrial()
	t.w.room.leave(t.job)
	t.freeSlot()
	t.w.inFlight.remove(t)
}

// nextAsk asks with a token that makes void what earlier ones may have been granted.
func (t *task) nextAsk() Ask {
	c := &t.claim
	if c.attempt == "" {
		c.attempt, c.asks = t.w.run+strconv.FormatUint(t.w.attempts.Add(1), 36), 0
	}
	c.asks++
	c.token = c.attempt + "#" + strconv.Itoa(c.asks)
	if t.waiter != nil {
		t.shared = t.waiter.ask()
	}
	c.askedAt = time.Now()
	return t.ask()
}

func (t *task) ask() Ask {
	return Ask{
		WcID: t.job.WcID, JobID: t.record, Tenant: t.job.Tenant,
		Token: t.claim.token, Pod: t.w.Pod, Have: t.shared.token,
		StoredAt: t.d.StoredAt, Deadline: t.job.Deadline,
	}
}

// noteAnswer takes over what the store answered to the last ask.
func (t *task) noteAnswer() {
	answer, evidence := &t.answer, &t.evidence
	t.storeTime = answer.Now
	if evidence.soleUntil.IsZero() && t.d.Attempts == 1 && answer.State != Suspended {
		evidence.soleUntil = t.storeTime.Add(t.w.DedupWindow - sinceBothClocks(t.takenAt))
	}
	evidence.maybePublished = evidence.maybePublished || answer.ConcludedBefore
	answer.By = job.IDOf(answer.By)
	if answer.State == Granted {
		evidence.soleWhenGranted = t.storeTime.Before(evidence.soleUntil)
	} else if answer.State != Suspended {
		t.claim.token = ""
	}
	if answer.State == Shared && answer.Result == nil {
		answer.Result = t.shared.result
	}
	if t.waiter != nil {
		t.waiter.noteAnswer(answer.State, sharedResult{answer.Token, answer.Result})
	}
}

// release lets go of the account after an ask that was granted, or may have been, and was
// not used.
func (t *task) release(ctx context.Context) {
	if t.claim.token == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	othersWait, err := t.w.locker.Release(ctx, t.ask())
	if err != nil {
		// The next ask makes up for it.
		t.w.outages.store.failed(err)
		t.log(ctx, slog.LevelDebug, "letting go of the account failed: it stays locked until the job asks again or its lease ends", "error", err)
		return
	}
	failpoint("released")
	t.claim.token = ""
	if othersWait {
		t.w.queue.Freed(t.job.WcID)
	}
}

// clock is the store's clock, which all pods share, once it is known.
func (t *task) clock() time.Time {
	if t.storeTime.IsZero() {
		return time.Now()
	}
	return t.storeTime.Add(time.Since(t.claim.askedAt))
}

// left is how much time the job has before its deadline.
func (t *task) left() time.Duration {
	if t.job.Deadline.IsZero() {
		return forever
	}
	return t.job.Deadline.Sub(t.clock())
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
func clip(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), job.MaxNameBytes)], "")
}
