package worker

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBreakerTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).at("http://gw")
		fail := func(func()) error { return errors.New("refused") }
		for range 2 * breakerThreshold {
			b.call(fail, false) // one job, again and again
		}
		for range breakerThreshold {
			if !b.call(fail, true) {
				t.Fatal("open too early")
			}
		}
		if b.call(fail, true) {
			t.Fatal("it did not open")
		}
		pause := func() { time.Sleep(2 * longBreakerDelay) }

		pause()
		b.call(func(func()) error { time.Sleep(2 * aliveAfter); return errors.New("dial time-out") }, false)
		if !isOpen(b) {
			t.Error("a dial that hangs closed it")
		}
		pause()
		func() {
			defer func() { _ = recover() }()
			b.call(func(func()) error { panic("a defect") }, false)
		}()
		if !isOpen(b) {
			t.Error("a trial that panicked left it half-open")
		}
		pause()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.call(func(sent func()) error { sent(); time.Sleep(time.Minute); return nil }, false)
		}()
		time.Sleep(2 * aliveAfter)
		if isOpen(b) {
			t.Error("a trial that is held open did not close it")
		}
		<-ended
	})
}

// The first trial comes soon: what failed may be a few accounts. Those that fail are
// followed by longer pauses.
func TestBreakerTrialsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).at("http://gw")
		fail := func(func()) error { return errors.New("refused") }
		for range breakerThreshold {
			b.call(fail, true)
		}
		var ran []int
		start := time.Now()
		for time.Since(start) < 30*time.Second {
			if b.call(fail, true) {
				ran = append(ran, int(time.Since(start).Seconds()))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(ran) < 5 || len(ran) > 9 || ran[0] > 1 || ran[1] < 2 {
			t.Errorf("trials after %v s", ran)
		}
		if time.Sleep(6 * time.Second); !b.call(func(func()) error { return nil }, true) || isOpen(b) {
			t.Error("a trial that succeeds does not close it")
		}
	})
}

func isOpen(b *breaker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed >= breakerThreshold
}
