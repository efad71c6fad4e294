package cli

import (
	"strings"
	"testing"
)

// There are no samples for a real gateway, so that there is nothing to do once.
func TestDevOnceIsAboutSamples(t *testing.T) {
	for _, args := range [][]string{{"--once"}, {"--jobs", "3"}} {
		got := relogin(t, nil, "", append([]string{"dev", "--gateway-url", "http://127.0.0.1:1"}, args...)...)
		if got.status != exitUsage || !strings.Contains(got.stderr, "--gateway-url") {
			t.Errorf("%v: status %d: %s", args, got.status, got.stderr)
		}
	}
}
