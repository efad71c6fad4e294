package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/relogin/relogin/worker/job"
)

// How long the pipeline waits for what, and how much it does at once.
const (
	firstRetry = 200 * time.Millisecond // the first pause after a failure that may pass
	longRetry  = 15 * time.Second       // the longest such pause

	publishGrace = 2 * longRetry // how long a delivery that has concluded a job gets to publish its event, before another one makes the phone ask

	noRoomPause   = time.Minute      // about how long a job stays in the queue whose tenant is paused, when there is no room for it; spread, so that they do not all come back at once
	awayPause     = time.Minute      // about how long one does when a part of the store is away; longer the more often it came
	unburiedPause = 10 * time.Minute // how long a job does whose dead letter is refused

	lendAfter  = 100 * time.Millisecond // a call to the store that takes longer is waited for without a slot
	leaseSlack = 250 * time.Millisecond // spreads those who wait for a lease's end

	reconcileTimeout = 10 * time.Second // how long one look at the online list may take
	settleTimeout    = 5 * time.Second  // how long letting go of an account may take
	tellTimeout      = 10 * time.Second // how long others are told what has happened, once the calls are cut off

	reviewEvery  = time.Second     // how often it is seen whether refused credentials have changed, also while NATS is away
	shareEvery   = time.Second     // how often what is known of them is shared with other pods
	shareTimeout = 5 * time.Second // how long it may take to share that once

	takeEvery    = time.Second          // how often a job is taken while something fails for all
	takeWait     = 30 * time.Second     // how long a request for one job waits at the server
	takeMoreWait = time.Second          // how long a request for many jobs does, which keeps their slots meanwhile
	takeAtOnce   = 256                  // how many jobs one request asks for at the most
	batchFor     = 2 * time.Millisecond // how long slots are collected before a request for many jobs: about 70 jobs came with one then, in the benchmark

	normalAhead = time.Second      // how far ahead a normal job takes a turn under the rate, so that
	urgentAhead = 10 * time.Second // urgent jobs find one before those that wait for theirs
)

// Options is what a [Worker] needs to know. All but Cooldown, ShutdownGrace and those that
// may be nil must be set.
type Options struct {
	Pod            string        // this worker's name in events
	Concurrency    int           // how many confirmations it holds open at once
	MaxParked      int           // how many jobs it lets wait beside them; a tenant, and an account, has a share of it
	MaxDeliveries  int           // how often a job is delivered before it is given up, not counting deliveries that were handed back
	SendWindow     time.Duration // how long after the account was asked for the request may still be sent
	ConfirmTimeout time.Duration // how long a prompt can live at the gateway, at most
	Cooldown       time.Duration // how long an account is left alone after a failed confirmation; 0: it is not
	ShutdownGrace  time.Duration // how long open confirmations may go on when Run's context has ended
	DedupWindow    time.Duration // for how long a job that has ended is known in the store, and a repeated event to the queue: what is older is looked for in the stream

	Pauses   Pauses           // what people have paused; nil: nothing is
	Refusals SharedRefusals   // where pods tell each other of refused credentials; nil: this pod is alone
	Protect  func(*job.Login) // hides a login's secrets before anybody stores them; nil: they are stored as they are
	Logger   *slog.Logger     // nil: nothing is logged
	Metrics  *Metrics         // nil: nothing is measured
}

// Worker is a pod: it takes jobs, holds confirmations open, and publishes events.
type Worker struct {
	Options
	queue   Queue
	locker  Locker
	gateway Gateway

	slots    *slots
	waiters  *waiters
	room     *room
	breakers *breakers
	refusals *refusals
	outages  *outages
	inFlight *inFlight
	recent   *recent
	run      string        // begins the names of this worker's attempts, and of no other's
	attempts atomic.Uint64 // how many attempts it has made
	jobs     sync.WaitGroup
}

// New returns a Worker. Call [Worker.Run] once. The error names every option that is out of
// its range.
func New(q Queue, l Locker, g Gateway, o Options) (*Worker, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	o.Pauses = cmp.Or[Pauses](o.Pauses, noPauses{})
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	id := uuid.New()
	return &Worker{
		Options: o, queue: q, locker: l, gateway: g, run: string(id[:]),
		slots:   newSlots(o.Concurrency, func() bool { return g.Tenants() > 1 }),
		waiters: &waiters{watch: q.Watch, accounts: map[string]*watchedAccount{}}, room: newRoom(o.MaxParked, o.Metrics.parked),
		breakers: newBreakers(o.Logger, o.Metrics), outages: newOutages(o.Logger),
		inFlight: &inFlight{tasks: map[*task]struct{}{}}, recent: &recent{},
		refusals: &refusals{
			log: o.Logger, metrics: o.Metrics, shared: cmp.Or[SharedRefusals](o.Refusals, ownRefusals{}),
			tenants: map[string]*refusal{}, untold: map[job.Credential]bool{},
		},
	}, nil
}

func (o *Options) check() error {
	var wrong []error
	need := func(fine bool, name, rule string) {
		if !fine {
			wrong = append(wrong, fmt.Errorf("%s must be %s", name, rule))
		}
	}
	need(o.Pod != "", "Pod", "a name")
	need(o.Concurrency > 0, "Concurrency", "at least 1")
	need(o.MaxParked >= 0, "MaxParked", "at least 0")
	need(o.MaxDeliveries > 0, "MaxDeliveries", "at least 1")
	need(o.SendWindow > 0, "SendWindow", "longer than 0")
	need(o.ConfirmTimeout > 0, "ConfirmTimeout", "longer than 0")
	need(o.DedupWindow > 0, "DedupWindow", "longer than 0")
	need(o.Cooldown >= 0, "Cooldown", "at least 0")
	need(o.ShutdownGrace >= 0, "ShutdownGrace", "at least 0")
	return errors.Join(wrong...)
}

// Run takes jobs until ctx ends. Then it hands back at once what only waits, lets open
// confirmations finish within the grace, and cuts off the rest, whose accounts stay
// locked until their leases end. It blocks until every job is settled, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	waiting, handBack := context.WithCancel(context.WithoutCancel(ctx))
	defer handBack()
	calls, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	telling, silence := context.WithCancel(context.WithoutCancel(ctx))
	defer silence()
	run := lifetime{waiting: waiting, calls: calls, telling: telling}
	var pulls sync.WaitGroup
	for _, lane := range []job.Lane{job.Urgent, job.Normal} {
		pulls.Go(func() { w.pull(ctx, run, lane) })
	}
	w.jobs.Go(func() {
		for sleep(ctx, reviewEvery) {
			w.refusals.review(w.gateway.Access)
		}
	})
	w.jobs.Go(func() { w.share(ctx) })

	<-ctx.Done()
	w.Logger.Info("stopping: open confirmations may finish, everything else goes back", "grace", w.ShutdownGrace)
	defer time.AfterFunc(w.ShutdownGrace, func() { cut(errors.New("the shutdown grace is over")) }).Stop()
	defer time.AfterFunc(w.ShutdownGrace+tellTimeout, silence).Stop()
	pulls.Wait() // a job that is handed back would come to this pod again
	handBack()
	w.jobs.Wait()
	return nil
}

// pull takes a slot first, then asks for a job: what the pod can't work on stays in
// the queue, where other pods get it.
func (w *Worker) pull(ctx context.Context, run lifetime, lane job.Lane) {
	want := 1
	trouble := newBackOff(firstRetry, longRetry)
	for {
		if d, _ := w.GatewayDown(); d > 0 && !sleep(ctx, d) {
			return
		}
		if w.outages.total() {
			if want = 1; !sleep(ctx, takeEvery) {
				return
			}
		}
		if w.Pauses.Paused(lane, nobody, "") != nil && w.room.crowded() {
			if want = 1; !sleep(ctx, takeEvery) {
				return
			}
			continue
		}
		n, err := w.slots.acquire(ctx, lane, nobody, want)
		if err != nil {
			return
		}
		if n < want && sleep(ctx, batchFor) {
			n += w.slots.tryAcquire(lane, nobody, want-n)
		}
		wait := takeWait
		if n > 1 || w.Concurrency < 16 { // it would keep slots for long from those who have work for them
			wait = takeMoreWait
		}
		taken, backlog, err := w.queue.Take(ctx, lane, n, wait)
		w.slots.release(lane, nobody, n-len(taken))
		for _, d := range taken {
			w.jobs.Go(func() { w.process(run, d) })
		}
		want = min(max(backlog, 1), takeAtOnce)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.outages.jobs.worked()
			trouble.Reset()
		default:
			w.outages.jobs.failed(fmt.Errorf("lane %s: %w", lane, err))
			if !sleep(ctx, trouble.NextBackOff()) {
				return
			}
		}
	}
}

// share keeps what is known of refused credentials the same in all pods, until ctx ends.
func (w *Worker) share(ctx context.Context) {
	failed := outage{log: w.Logger, fails: "sharing with other pods which tenants are paused fails: this pod goes by what it sees itself; see that NATS works",
		works: "pods share again which tenants are paused"}
	for sleep(ctx, shareEvery) {
		switch err := w.refusals.share(ctx, w.gateway.Access); {
		case ctx.Err() != nil:
		case err != nil:
			failed.failed(err)
		default:
			failed.worked()
		}
	}
}

func (w *Worker) protect(l *job.Login) {
	if l != nil && w.Protect != nil {
		w.Protect(l)
	}
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
