package pod

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

func TestGCPercent(t *testing.T) {
	for alive, want := range map[uint64]int{0: 1600, 8 << 20: 800, 32 << 20: 200, 64 << 20: 100, 1 << 30: 100} {
		if got := gcPercent(alive); got != want {
			t.Errorf("gcPercent(%d) = %d, want %d", alive, got, want)
		}
	}
	runtime.GC()
	if alive := heapAlive(); alive == 0 {
		t.Error("nothing is alive")
	}
}

// A collection that comes before the next call is prepared goes by unseen: the one after it
// is enough.
func TestAfterGC(t *testing.T) {
	var calls atomic.Int64
	afterGC(func() { calls.Add(1) })
	for want := range int64(4) { // at once, and after three collections
		servers.Eventually(t, "a call after a collection", func() bool {
			runtime.GC()
			return calls.Load() > want
		})
	}
}
