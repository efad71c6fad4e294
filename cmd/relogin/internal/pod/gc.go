package pod

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	leastAlive = 4 << 20  // bytes that Go takes for alive where there is less, or nothing was collected yet
	gcRoom     = 64 << 20 // bytes that the heap may grow by in any case
)

// GiveGCRoom lets the heap grow by gcRoom before it is collected, also where little is
// alive: a busy worker with few open confirmations would collect it dozens of times a
// second, which was measured to be a quarter of its work. With much alive nothing changes.
// Whoever sets GOGC or GOMEMLIMIT has their way.
func GiveGCRoom() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	afterGC(func() { debug.SetGCPercent(gcPercent(heapAlive())) })
}

// gcPercent is by how much of what is alive the heap may grow: Go's own 100 or more.
func gcPercent(alive uint64) int {
	return max(100, int(gcRoom*100/max(alive, leastAlive)))
}

// heapAlive is what the last collection had to keep, and the stacks: what Go takes the
// percentage of.
func heapAlive() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64()
}

// afterGC calls do now and after each collection.
func afterGC(do func()) {
	do()
	collected := &struct{ self *int }{} // with a pointer, so that it shares no block with others
	runtime.AddCleanup(collected, func(do func()) { afterGC(do) }, do)
}
