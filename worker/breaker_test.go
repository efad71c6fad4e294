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
		works := func(err error) bool { return err == nil }
		for range 2 * breakerThreshold {
			b.call(fail, works, false) // one job, again and again
		}
		for range breakerThreshold {
			if !b.call(fail, works, true) {
				t.Fatal("open too early")
			}
		}
		if b.call(fail, works, true) {
			t.Fatal("it did not open")
		}
		pause := func() { time.Sleep(2 * breakerDelay) }

		pause()
		b.call(func(func()) error { time.Sleep(2 * aliveAfter); return errors.New("dial time-out") }, works, false)
		if !b.IsOpen() {
			t.Error("a dial that hangs closed it")
		}
		pause()
		func() {
			defer func() { _ = recover() }()
			b.call(func(func()) error { panic("a defect") }, works, false)
		}()
		if !b.IsOpen() {
			t.Error("a trial that panicked left it half-open")
		}
		pause()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.call(func(sent func()) error { sent(); time.Sleep(time.Minute); return nil }, works, false)
		}()
		time.Sleep(2 * aliveAfter)
		if !b.IsClosed() {
			t.Error("a trial that is held open did not close it")
		}
		<-ended
	})
}
