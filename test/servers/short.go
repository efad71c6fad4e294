package servers

import (
	"os"
	"testing"
)

// SkipIfShort skips the test under go test -short, the quick loop of somebody at work. The
// reason says what the test does that takes long; go test -short -v shows it. Without
// -short it does nothing.
func SkipIfShort(tb testing.TB, reason string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("left out by -short: " + reason)
	}
}

// Skip skips the test, which needs what is not there; with CI=true it fails instead, at once.
func Skip(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
