package test

import (
	"os"
	"strings"
	"testing"

	"github.com/relogin/relogin/worker"
)

// What a stranger runs first needs nothing but the binary.
func TestDevOnce(t *testing.T) {
	status, stdout, stderr := run(t, os.Environ(), "", "dev", "--once", "--jobs", "30")
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, stdout, stderr)
	}
	for _, outcome := range worker.Outcomes() {
		if !strings.Contains(stdout, "  "+string(outcome)+" ") {
			t.Errorf("no job is shown that ends as %s:\n%s", outcome, stdout)
		}
	}
	for _, want := range []string{"42 jobs, 42 events", "at most 1 at once for one account", "(shared with", "(from the online list)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, stdout)
		}
	}
}
