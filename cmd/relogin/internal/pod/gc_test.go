package pod

import (
	"runtime"
	"testing"
	"time"
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

func TestAfterGC(t *testing.T) {
	called := make(chan struct{}, 100)
	afterGC(func() { called <- struct{}{} })
	for range 4 { // at once, and after three collections
		select {
		case <-called:
		case <-time.After(time.Minute):
			t.Fatal("a collection went by unseen")
		}
		runtime.GC()
	}
}
