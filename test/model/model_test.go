// Package model checks the account's lock in every order of events, with Spin: see lock.pml.
package model

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// search is one exhaustive search of the model.
type search struct {
	defines string // the model's bounds and mutant
	cycles  bool   // look for runs without an end, instead of at each state
	compile string // the optimization
}

const searchTimeout = 5 * time.Minute

// The properties, by what pan says of them.
const (
	oneOpen   = "(life==0)"
	oncePer   = "(prompted["
	oneEvent  = "]<=1)"
	ackedLast = "]==1)"
	stuck     = "invalid end state"
	endless   = "non-progress cycle"
)

// places are where the searches must have been, by the bounds.
var searches = []struct {
	name, defines string
	places        []string
}{
	{"crash", "-DDELIVERIES=3 -DCRASHES=1", []string{"unknown", "reconciled", "shared", "another delivery's result", "the lease was lost"}},
	{"no online list", "-DLIST=0 -DDELIVERIES=3 -DCRASHES=1 -DPROMPT=1", []string{"unknown", "a stale finish finds another's lock"}},
	{"three jobs", "-DJOBS=3 -DDELIVERIES=3 -DPROMPT=1", []string{"shared", "the send window closed", "a stale finish finds another's lock"}},
	{"calls lost", "-DLOST_CALLS=1 -DUNUSED=1", []string{"a late begin is granted", "a late release finds a lock"}},
	{"calls lost and crash", "-DJOBS=1 -DCRASHES=1 -DLOST_CALLS=1 -DUNUSED=1", []string{"unknown", "another delivery's result"}},
	{"redis", "-DFAULTS=1 -DPROMPT=1", []string{
		"the lock of an open prompt is lost", "granted in quarantine", "granted by a master that was cut off", "superseded",
	}},
	{"redis and crash", "-DJOBS=1 -DFAULTS=1 -DCRASHES=1", []string{"a job prompts again after Redis lost its record"}},
	{"leases that differ", "-DLEASES=2 -DJOBS=1 -DFAULTS=1", []string{
		"the lock of an open prompt is lost", "granted by a master that was cut off", "a longer lease waits to be used",
	}},
}

func TestEachState(t *testing.T) {
	servers.SkipIfShort(t, "it searches a model exhaustively")
	for _, s := range searches {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			out := search{defines: "-DREACH " + s.defines, compile: "-O1"}.run(t)
			mustHold(t, out)
			for _, place := range s.places {
				if !strings.Contains(out, "reached: "+place+"\n") {
					t.Errorf("the search never came to where %q", place)
				}
			}
		})
	}
}

func TestEachRunEnds(t *testing.T) {
	servers.SkipIfShort(t, "it searches a model exhaustively")
	for name, defines := range map[string]string{
		"two jobs":        "-DPAUSES=1",
		"calls lost":      "-DPAUSES=1 -DJOBS=1 -DCRASHES=1 -DLOST_CALLS=1",
		"no online list":  "-DPAUSES=0 -DLIST=0 -DDELIVERIES=3 -DCRASHES=1 -DPROMPT=1",
		"redis and crash": "-DPAUSES=0 -DLIST=0 -DPROMPT=1 -DJOBS=1 -DCRASHES=1 -DFAULTS=1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustHold(t, search{defines: defines, cycles: true, compile: "-O1"}.run(t))
		})
	}
}

// A pod that is paused again and again never sends: the search for cycles sees that.
func TestEndlessPausesAreFound(t *testing.T) {
	servers.SkipIfShort(t, "it searches a model exhaustively")
	t.Parallel()
	mustBreak(t, search{defines: "-DPAUSES=255", cycles: true, compile: "-O0"}.run(t), endless)
}

func TestMutants(t *testing.T) {
	servers.SkipIfShort(t, "it searches a model exhaustively")
	for _, m := range []struct{ name, bounds, property string }{
		{"SHORT_LEASE", "", oneOpen},
		{"T0_AFTER_REPLY", "", oneOpen},
		{"NO_WINDOW", "", oneOpen},
		{"RELEASE_ON_TIMEOUT", "", oneOpen},
		{"DOUBT_FREES", "", oneOpen},
		{"FREES_ANY", "-DJOBS=3 -DDELIVERIES=3", oneOpen},
		{"UNNUMBERED", "-DLOST_CALLS=1 -DUNUSED=1", oneOpen},
		{"TOKEN_IS_JOB", "-DJOBS=1", oncePer},
		{"PROMPTS_AGAIN", "-DJOBS=1 -DCRASHES=1", oncePer},
		{"NO_QUARANTINE", "-DFAULTS=1", oneOpen},
		{"QUARANTINE_FROM_START", "-DFAULTS=1", oneOpen},
		{"QUARANTINE_EARLY", "-DFAULTS=1", oneOpen},
		{"NO_SECOND_LOOK", "-DFAULTS=1", oneOpen},
		{"NO_MARK", "-DFAULTS=1", oneOpen},
		{"NO_CUTOFF", "-DFAULTS=1", oneOpen},
		{"UNCHECKED", "-DJOBS=1 -DCRASHES=1", oneEvent},
		{"ACK_FIRST", "-DJOBS=1 -DCRASHES=1", ackedLast},
		{"NO_TIMER", "-DJOBS=1 -DCRASHES=1 -DLIST=0", stuck},
		{"PAUSE_BEFORE_WRITE", "", oneOpen},
		{"OWN_LEASE", "-DLEASES=2 -DFAULTS=1", oneOpen},
		{"LEASE_FORGOTTEN", "-DLEASES=2 -DJOBS=1 -DFAULTS=1 -DPROMPT=3", oneOpen},
		{"NO_SETTLING", "-DLEASES=2 -DFAULTS=1", oneOpen},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out := search{defines: "-DMUTANT_" + m.name + " " + m.bounds, compile: "-O0"}.run(t)
			mustBreak(t, out, m.property)
		})
	}
}

// run returns what pan prints. The test fails when the search did not come to its end.
func (s search) run(t *testing.T) string {
	t.Helper()
	need(t, "spin")
	need(t, "cc")
	dir := t.TempDir()
	model, err := os.ReadFile("lock.pml") // here, so that go test sees when it changes
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "lock.pml"), model, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "spin", append(append([]string{"-a"}, strings.Fields(s.defines)...), "lock.pml")...)
	kind, flags := "-DSAFETY", []string{"-m100000", "-w22"}
	if s.cycles {
		kind, flags = "-DNP", append(flags, "-l")
	}
	// Partial order reduction finds nothing to leave out, and MEMLIM is in MB.
	command(t, dir, "cc", "-w", s.compile, kind, "-DNOREDUCE", "-DNOFAIR", "-DMEMLIM=900", "-o", "pan", "pan.c")
	out := command(t, dir, filepath.Join(dir, "pan"), flags...)
	for _, short := range []string{"max search depth too small", "Search not completed", "out of memory", "hash_table", "memory limit"} {
		if strings.Contains(out, short) && errorCount(t, out) == "0" {
			t.Fatalf("the search is not complete: %s\n%s", short, out)
		}
	}
	t.Logf("%s: %s states, %s s", strings.TrimSpace(s.defines), field(out, `(\S+) states, stored`), field(out, `elapsed time (\S+) seconds`))
	return out
}

func mustHold(t *testing.T, out string) {
	t.Helper()
	if errorCount(t, out) != "0" {
		t.Errorf("a property does not hold:\n%s", out)
	}
}

func mustBreak(t *testing.T, out, property string) {
	t.Helper()
	found := field(out, `(?m)^pan:1: (.*)$`)
	if errorCount(t, out) == "0" || !strings.Contains(strings.ReplaceAll(found, " ", ""), strings.ReplaceAll(property, " ", "")) {
		t.Errorf("found %q, want a violation of %q:\n%s", found, property, out)
	}
}

func errorCount(t *testing.T, out string) string {
	t.Helper()
	n := field(out, `errors: (\d+)`)
	if n == "" {
		t.Fatalf("pan gave no verdict:\n%s", out)
	}
	return n
}

func field(out, pattern string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(out); found != nil {
		return found[1]
	}
	return ""
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), searchTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not on the PATH", tool)
	}
	t.Skipf("%s is not on the PATH", tool)
}
