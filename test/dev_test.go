package test

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// What a stranger runs first needs nothing but the binary.
func TestDevOnce(t *testing.T) {
	servers.SkipIfShort(t, "it waits for samples that end by a time-out")
	status, stdout, stderr := run(t, os.Environ(), "", "dev", "--once", "--jobs", "30")
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, stdout, stderr)
	}
	for _, outcome := range job.Outcomes() {
		if outcome == job.Cancelled {
			continue // nobody cancels a sample
		}
		if !regexp.MustCompile(`(?m)^  ` + string(outcome) + ` +[1-9]`).MatchString(stdout) {
			t.Errorf("no job is shown that ends as %s:\n%s", outcome, stdout)
		}
	}
	for _, want := range []string{"42 jobs, 42 events; 12 of 12 samples ended as expected", "WARN or ERROR belong to them", "at most 1 at once for one account", "(shared with", "(from the online list)"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, stdout)
		}
	}
}

// The commands that dev prints are those that work where it was started.
func TestDevPrintsCommandsThatWork(t *testing.T) {
	servers.SkipIfShort(t, "it waits for samples that end by a time-out")
	p := start(t, os.Environ(), "dev")
	p.WaitForLog("From another terminal")
	p.WaitForLog("pub relogin.jobs.urgent")
	var submit string
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, " submit ") {
			submit = strings.TrimSpace(line)
		}
	}
	out, err := exec.Command("sh", "-c", submit+" --timeout 60s").CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 1 || !strings.Contains(string(out), "confirm-me") { // decline-me fails
		t.Errorf("%s: %v\n%s", submit, err, out)
	}
	p.WaitForLog("ended as expected")
	if status := p.Terminate(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
