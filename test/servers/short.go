package servers

import "testing"

// SkipIfShort skips the test under go test -short, the quick loop of somebody at work. The
// reason says what the test does that takes long; go test -short -v shows it. Without
// -short it does nothing.
func SkipIfShort(tb testing.TB, reason string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("left out by -short: " + reason)
	}
}
