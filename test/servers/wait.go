package servers

import (
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what should happen soon. It is long because
	// only a failure waits for so long, and a slow machine is none.
	patience     = 90 * time.Second
	pollInterval = 10 * time.Millisecond
)

// Eventually blocks until the condition holds, and fails the test at once when it does not
// within 90 s. The condition is called every 10 ms in the calling goroutine. The failure
// says "waited for" and what.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	if !Poll(patience, condition) {
		tb.Fatalf("waited %v for %s", patience, what)
	}
}

// Poll blocks until the condition holds, at most for the limit, and returns whether it
// does. The condition is called every 10 ms in the calling goroutine, at least once.
func Poll(limit time.Duration, condition func() bool) bool {
	for until := time.Now().Add(limit); !condition(); time.Sleep(pollInterval) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}
