package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	breakerThreshold = 10              // failures in a row
	breakerDelay     = time.Second     // before the first trial: others' accounts may be fine there
	longBreakerDelay = 5 * time.Second // between later trials, which grow to it; each may cost a job its answer
	breakerJitter    = 0.2             // the share of the delay that is random, so that pods do not try at once
	aliveAfter       = 2 * time.Second // a trial whose request is held open for so long shows that the gateway works
)

// breakers keeps a circuit breaker for each gateway. One that is open stops calls to
// that gateway; when all are, the pod stops taking jobs. A person's "no" counts as a
// working gateway.
type breakers struct {
	log     *slog.Logger
	metrics *Metrics

	mu   sync.Mutex
	byAt map[string]breaker
}

// breaker is one gateway's.
type breaker struct {
	circuitbreaker.CircuitBreaker[any]
	last   *atomic.Pointer[error] // how the last call failed that counted
	outage *outage                // tells people when calls fail
	trials *trials
}

// trials spaces a breaker's trials: each that fails doubles the pause before the next.
type trials struct {
	mu     sync.Mutex
	failed int
	next   time.Time
}

// opened is called when the breaker opens, be it again after a trial.
func (ts *trials) opened(again bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.failed++; !again {
		ts.failed = 0
	}
	ts.next = time.Now().Add(min(breakerDelay<<min(ts.failed, 8), longBreakerDelay))
}

// wait returns how long no trial may be made.
func (ts *trials) wait() time.Duration {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return max(time.Until(ts.next), 0)
}

// pause returns how long no call may be made, 0 while the breaker is closed or a trial is due.
func (b breaker) pause() time.Duration {
	if b.IsClosed() {
		return 0
	}
	return max(b.RemainingDelay(), b.trials.wait())
}

// lastError returns how the last call failed that counted, nil when none has.
func (b breaker) lastError() error {
	if err := b.last.Load(); err != nil {
		return *err
	}
	return nil
}

func newBreakers(log *slog.Logger, m *Metrics) *breakers {
	return &breakers{log: log, metrics: m, byAt: map[string]breaker{}}
}

func (bs *breakers) at(address string) breaker {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b, ok := bs.byAt[address]
	if !ok {
		b = bs.newBreaker(address)
		bs.byAt[address] = b
	}
	return b
}

func (bs *breakers) newBreaker(address string) breaker {
	gauge := bs.metrics.breakerOpen.WithLabelValues(address)
	gauge.Set(0)
	b := breaker{last: new(atomic.Pointer[error]), trials: &trials{}, outage: &outage{
		log:   bs.log.With("gateway", address),
		fails: "calls to the gateway fail: what was not sent is tried again, and what may have been keeps its account locked; see that the gateway works, and that its address and certificate are right",
		works: "calls to the gateway work again",
	}}
	b.CircuitBreaker = circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakerThreshold).
		WithSuccessThreshold(1).
		WithDelay(breakerDelay).
		WithJitterFactor(breakerJitter).
		OnOpen(func(e circuitbreaker.StateChangedEvent) {
			again := e.OldState == circuitbreaker.HalfOpenState
			b.trials.opened(again)
			if gauge.Set(1); again {
				return
			}
			bs.log.Error("gateway breaker opened: no new confirmations there until a trial succeeds; see that the gateway works",
				"gateway", address, "error", b.lastError())
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) {
			gauge.Set(0)
			bs.log.Info("gateway breaker closed: confirmations go on", "gateway", address)
		}).
		Build()
	return b
}

// call runs one call to the gateway; do calls sent when the request goes out, and healthy
// tells what its error says of the gateway. It returns false, and does not run the call,
// when the breaker is open. A call that panics counts as a failure. Of one job only the
// first try counts, but for a trial: an account that always fails shows nothing of others.
func (b breaker) call(do func(sent func()) error, healthy func(error) bool, first bool) (ran bool) {
	if b.pause() > 0 || !b.TryAcquirePermit() {
		return false
	}
	trial, works := b.IsHalfOpen(), false
	failure := errPanicked
	var alive *time.Timer
	defer func() {
		recorded := alive != nil && !alive.Stop()
		switch {
		case works && !recorded:
			b.RecordSuccess()
		case !works && (trial || first):
			b.last.Store(&failure)
			b.RecordFailure()
		}
	}()
	failure = do(func() {
		if trial {
			alive = time.AfterFunc(aliveAfter, b.RecordSuccess)
		}
	})
	if works = healthy(failure); works {
		b.outage.worked()
	} else {
		b.outage.failed(failure)
	}
	return true
}

var errPanicked = errors.New("a defect in relogin ended the call: see the log")

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

// wait returns how long the pod should take no jobs: until the first of its gateways
// may be tried again, and how that one failed; 0 when one works.
func (bs *breakers) wait(addresses []string) (shortest time.Duration, err error) {
	for _, address := range addresses {
		b := bs.at(address)
		d := b.pause()
		if d <= 0 {
			return 0, nil
		}
		if shortest == 0 || d < shortest {
			shortest, err = d, b.lastError()
		}
	}
	return shortest, err
}
