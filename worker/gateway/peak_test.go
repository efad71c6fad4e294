package gateway

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

// peak runs what it is given, and returns the most memory that live and dead objects took
// meanwhile, above what they took before.
func peak(run func()) int64 {
	runtime.GC()
	before := heapNow()
	most := before
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, heapNow())
			case <-done:
				most = max(most, heapNow())
				return
			}
		}
	})
	run()
	close(done)
	watching.Wait()
	return most - before
}

func heapNow() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// checkPeak fails when the run takes more than so many MiB.
func checkPeak(t *testing.T, limit int64, run func()) {
	t.Helper()
	most := peak(run) >> 20
	t.Logf("at the most %d MiB", most)
	if most > limit {
		t.Errorf("at the most %d MiB, want %d", most, limit)
	}
}
