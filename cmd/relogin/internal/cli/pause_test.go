package cli

import (
	"strings"
	"testing"
)

// The history says which jobs were cancelled, and not their account alone.
func TestHistoryNamesJobs(t *testing.T) {
	environ, _ := startStreams(t)
	relogin(t, environ, "", "cancel", "wxid_a", "order-17") // there is none: the audit has it all the same
	relogin(t, environ, "", "pause", "--account", "wxid_b")
	got := relogin(t, environ, "", "pause", "--list")
	for _, want := range []string{"job order-17 of account wxid_a", "pause   account wxid_b"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not in:\n%s%s", want, got.stdout, got.stderr)
		}
	}
}
