package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	breakerThreshold = 10              // failures in a row
	breakerDelay     = time.Second     // before the first trial: others' accounts may be fine there
	longBreakerDelay = 5 * time.Second // between later trials, which grow to it; each may cost a job its answer
	breakerJitter    = 5               // one part in so many of the delay is random, so that pods do not try at once
	aliveAfter       = 2 * time.Second // a trial whose request is held open for so long shows that the gateway works
)

// breakers keeps a circuit breaker for each gateway. One that is open stops calls to
// that gateway; when all are, the pod stops taking jobs. A person's "no" counts as a
// working gateway.
type breakers struct {
	log     *slog.Logger
	metrics *Metrics

	mu   sync.Mutex
	byAt map[string]*breaker
}

// breaker is one gateway's. It is open from when as many calls in a row have failed as the
// threshold says until a trial succeeds. There is one trial at a time; each that fails doubles
// the pause before the next.
type breaker struct {
	gauge  prometheus.Gauge // 1: it is open
	outage *outage          // tells people when calls fail

	mu     sync.Mutex
	failed int       // calls in a row; of those that began before it opened no more count
	trying bool      // a trial is under way
	next   time.Time // while it is open: when the next trial is due; has passed while it is closed
	last   error     // how the last call failed that counted, nil when none has
}

func newBreakers(log *slog.Logger, m *Metrics) *breakers {
	return &breakers{log: log, metrics: m, byAt: map[string]*breaker{}}
}

func (bs *breakers) at(address string) *breaker {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.byAt[address]
	if b == nil {
		b = &breaker{gauge: bs.metrics.breakerOpen.WithLabelValues(address), outage: &outage{
			log:   bs.log.With("gateway", address),
			fails: "calls to the gateway fail: what was not sent is tried again, and what may have been keeps its account locked; see that the gateway works, and that its address and certificate are right",
			works: "calls to the gateway work again",
		}}
		bs.byAt[address] = b
	}
	return b
}

// GatewayDown returns how long the pod will take no jobs because every gateway's breaker is
// open: until the first of them may be tried again, and how that one failed; 0 when one works.
func (w *Worker) GatewayDown() (shortest time.Duration, err error) {
	for i, address := range w.gateway.Addresses() {
		b := w.breakers.at(address)
		b.mu.Lock()
		if d := max(time.Until(b.next), 0); i == 0 || d < shortest {
			shortest, err = d, b.last
		}
		b.mu.Unlock()
	}
	return shortest, err
}

// state is what others are told of it.
func (b *breaker) state(address string) GatewayState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := GatewayState{Address: address, Open: b.failed >= breakerThreshold}
	if s.Open {
		s.NextTrial = b.next
	}
	if b.last != nil {
		s.LastError = b.last.Error()
	}
	return s
}

// call runs one call to the gateway; do calls sent when the request goes out. It returns false,
// and does not run the call, when the breaker is open. A call that panics counts as a failure.
// Of one job only the first try counts, but for a trial: an account that always fails shows
// nothing of others.
func (b *breaker) call(do func(sent func()) error, first bool) (ran bool) {
	trial, ok := b.begin()
	if !ok {
		return false
	}
	failure := errPanicked
	var alive *time.Timer
	defer func() {
		pending := trial && (alive == nil || alive.Stop()) // else it has closed the breaker already
		if healthy(failure) {
			b.outage.worked()
			b.ended(nil, pending)
			return
		}
		b.outage.failed(failure)
		if trial || first {
			b.ended(failure, pending)
		}
	}()
	failure = do(func() {
		if trial && alive == nil {
			alive = time.AfterFunc(aliveAfter, func() { b.ended(nil, true) })
		}
	})
	return true
}

var errPanicked = errors.New("a defect in relogin ended the call: see the log")

// begin returns whether a call may be made now, and whether it is a trial.
func (b *breaker) begin() (trial, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < breakerThreshold {
		return false, true
	}
	if b.trying || time.Now().Before(b.next) {
		return false, false
	}
	b.trying = true
	return true, true
}

// ended notes what a call, or a trial, has shown of the gateway; nil: that it works.
func (b *breaker) ended(failure error, trial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := b.failed >= breakerThreshold
	switch {
	case open && !trial: // it began before the breaker opened
	case failure == nil:
		b.failed, b.trying = 0, false
		if open {
			b.gauge.Set(0)
			b.outage.log.Info("gateway breaker closed: confirmations go on")
		}
	default:
		b.last = failure
		if b.failed++; b.failed < breakerThreshold {
			return
		}
		delay := min(breakerDelay<<min(b.failed-breakerThreshold, 8), longBreakerDelay)
		b.trying, b.next = false, time.Now().Add(delay-jitter(delay/breakerJitter))
		if b.gauge.Set(1); !open {
			b.outage.log.Error("gateway breaker opened: no new confirmations there until a trial succeeds; see that the gateway works", "error", failure)
		}
	}
}

// healthy tells whether the end of a call shows a gateway that works. A person may
// take longer than the time-out.
func healthy(err error) bool {
	return err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrUnknownTenant) || errors.Is(err, errSlow) || errors.Is(err, errPaused) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
