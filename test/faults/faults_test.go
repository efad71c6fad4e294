//go:build linux

package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

var (
	length = flag.Duration("for", 10*time.Second, "how long faults are injected")
	seed   = flag.Uint64("seed", 0, "of what happens when; 0: any")
)

// round is for how long one deployment is kept.
const round = 3 * time.Minute

// TestFaults injects faults into one deployment after the other, by turns with a single
// Redis server and with a master, its replicas and sentinels, and checks each at its end.
func TestFaults(t *testing.T) {
	servers.SkipIfShort(t, "it injects faults into deployments for a while")
	servers.NeedRedisServer(t)
	needMount(t)
	logging.Disable() // go-redis's own: connections are refused all the time
	p, err := build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./test/faults -v -args -for %v -seed %d", *length, *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	injected, total := map[string]int{}, &verdict{outcomes: map[job.Outcome]int{}}
	decks := map[bool]*deck{}
	start := time.Now()
	for n := 0; time.Since(start) < *length && !t.Failed(); n++ {
		sentinel := n%2 == 1
		left := min(round, max(*length/2, 10*time.Second), *length-time.Since(start))
		t.Run(fmt.Sprintf("round %d", n+1), func(t *testing.T) {
			if decks[sentinel] == nil {
				decks[sentinel] = newDeck(random, deckOf(sentinel), injected)
			}
			w := newWorld(t, p, random, sentinel)
			w.play(decks[sentinel], left)
			w.now("all jobs have ended")
			w.judge(total)
			w.noHeadOfLine()
			w.now("no job waits for another account's")
			w.pausesWithinASecond()
			w.now("pauses are seen within a second")
			if t.Failed() {
				w.keepLogs()
			}
		})
	}
	fmt.Print(table(injected, total, time.Since(start)))
}

// needMount skips the test of who may not mount a file system; with CI=true it fails.
func needMount(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	if err == nil {
		err = syscall.Unmount(dir, 0)
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("needs a disk that gets full: %v", err)
	} else if err != nil {
		t.Skipf("needs a disk that gets full, so root: %v", err)
	}
}

// play has the workers under load and faults for so long, and ends when all is healed
// and drained.
func (w *world) play(d *deck, duration time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), duration)
	defer cancel()
	ready := func() bool {
		return !slices.ContainsFunc(w.workers, func(p *servers.Process) bool { return !p.Logged("worker ready") })
	}
	if !servers.Poll(time.Minute, ready) {
		w.keepLogs()
		w.t.Fatal("the workers do not come up")
	}
	var running sync.WaitGroup
	running.Go(func() { w.load.run(ctx) })
	running.Go(func() { w.load.people(ctx) })
	running.Go(func() { w.operator.run(ctx) })
	running.Go(func() {
		pause(ctx, duration/2)
		for i := range w.workers {
			w.tenantsFile(i, "other", lateTenant)
		}
	})
	d.play(ctx, w)
	w.now("all is healed")
	running.Wait()
	w.now("nobody steers or publishes any more")
	w.operator.resumeAll()
	w.load.hold(gatewaytest.Behaviour{})() // everybody confirms
	for drained := false; !drained && !w.t.Failed(); drained = w.operator.replayLate() == 0 {
		if !w.drained() {
			w.keepLogs()
		}
	}
}

// now logs how far the round is.
func (w *world) now(what string) { w.t.Logf("%s  %s", time.Now().Format(stamp), what) }

// keepLogs leaves the end of every process's output where it can be read after a failure.
func (w *world) keepLogs() {
	dir, err := os.MkdirTemp("", "relogin-faults-")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range w.processes() {
		if err := os.WriteFile(dir+"/"+p.Name+".log", []byte(p.Log()), 0o600); err != nil {
			w.t.Error(err)
		}
	}
	w.t.Errorf("not all as promised: the processes' logs are in %s", dir)
}

// table shows what was done, and what came of it.
func table(injected map[string]int, v *verdict, took time.Duration) string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(out, "%s\t%v\n", name, value) }
	var names []string
	sum := 0
	for name, n := range injected {
		names = append(names, name)
		sum += n
	}
	slices.Sort(names)
	fmt.Fprintf(out, "\nfault\tinjected\n")
	for _, name := range names {
		row(name, injected[name])
	}
	fmt.Fprintf(out, "\n%v with %d workers, seed %d\t\n", took.Round(time.Second), workers, *seed)
	row("deployments", v.rounds)
	row("faults injected", sum)
	row("jobs", v.jobs)
	row("events", v.events)
	row("prompts", v.prompts)
	row("most prompts open at once for one account (must be 1)", v.mostOpen)
	row("most events for one job (must be 1)", v.mostEvents)
	row("jobs lost (must be 0)", v.lost)
	row("jobs prompted twice (must be 0)", v.twice)
	row("jobs prompted twice after Redis lost its data", v.twiceLost)
	row("events that contradict (must be 0)", v.wrong)
	v.steered.rows(row)
	row("shared", v.shared)
	row("reconciled", v.reconciled)
	for _, o := range job.Outcomes() {
		row(string(o), v.outcomes[o])
	}
	slices.Sort(v.takeovers)
	if n := len(v.takeovers); n > 0 {
		row("prompts whose worker was killed", n)
		row("takeover p50", v.takeovers[n/2].Round(time.Millisecond))
		row("takeover p99", v.takeovers[n*99/100].Round(time.Millisecond))
	}
	_ = out.Flush()
	return text.String()
}
