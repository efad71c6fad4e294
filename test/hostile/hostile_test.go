//go:build linux

package hostile

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/relogin/relogin/test/servers"
)

var (
	long   = flag.Bool("long", false, "every case in its full size, and no more than 3 s of delay however slow the machine is")
	size   = flag.Float64("size", 0, "share of the full sizes; 0: 1 with -long, else 0.1")
	least  = flag.Duration("for", 0, "how long each case goes on at the least; 0: 15s with -long, else 2s")
	only   = flag.String("only", "", "names of cases, or parts of them, comma-separated, and mixtures as names with + between them; empty: all with -long, else the short ones")
	seed   = flag.Uint64("seed", 0, "of the cases' order and of the mixtures; 0: any")
	report = flag.String("report", "", "Markdown file whose text between <!-- hostile --> and <!-- /hostile --> becomes the table")
)

// hostileCase is one thing that misbehaves beside healthy accounts.
type hostileCase struct {
	name  string // for -only, and the accounts' and tenant's
	what  string // goes wrong, as a sentence
	short bool   // is part of go test ./...
	alone bool   // can't be mixed with others: it changes what all depend on
	setting
	run func(a *attack) // misbehaves, and returns when that is over
}

// cases returns all of them.
func cases() []hostileCase {
	return slices.Concat(upstreamCases(), headerCases(), floodCases(), personCases(), gatewayCases(), tenantCases(),
		redisCases(), clusterCases(), operatorCases(), streamCases(), outsiderCases())
}

// TestHostile plays each case in a deployment of its own, then mixtures of them.
func TestHostile(t *testing.T) {
	servers.SkipIfShort(t, "it plays what is hostile to deployments for a while")
	servers.NeedRedisServer(t)
	logging.Disable() // go-redis's own
	settleFlags()
	t.Logf("go test ./test/hostile -v -timeout 0 -args -size %v -for %v -only %q -seed %d", *size, *least, *only, *seed)
	before, after := reportPage(t)
	p := build(t)
	random := rand.New(rand.NewPCG(*seed, 0))
	chosen := choose(cases(), random)
	var rows []row
	began := time.Now()
	for _, group := range append(chosen, mixtures(random)...) {
		t.Run(nameOf(group), func(t *testing.T) { rows = append(rows, play(t, p, group)) })
	}
	fmt.Print(table(rows))
	if *report != "" {
		page := before + markdown(rows, time.Since(began)) + after
		if err := os.WriteFile(*report, []byte(page), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// reportPage returns what comes before the table and after it in the file for it.
func reportPage(t *testing.T) (before, after string) {
	if *report == "" {
		return "", ""
	}
	page, err := os.ReadFile(*report)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- hostile -->\n", "<!-- /hostile -->"
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table: %s%s", *report, begin, end)
	}
	return before + begin, end + after
}

func settleFlags() {
	if *size == 0 && *long {
		*size = 1
	} else if *size == 0 {
		*size = 0.1
	}
	if *least == 0 && *long {
		*least = 15 * time.Second
	} else if *least == 0 {
		*least = 2 * time.Second
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
}

// choose returns the cases that the flags ask for, each alone.
func choose(all []hostileCase, random *rand.Rand) (chosen [][]hostileCase) {
	for _, c := range all {
		if wanted(c.name) || *only == "" && (*long || c.short) {
			chosen = append(chosen, []hostileCase{c})
		}
	}
	for _, part := range strings.Split(*only, ",") {
		if names := strings.Split(part, "+"); len(names) > 1 {
			chosen = append(chosen, named(all, names))
		}
	}
	random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// named returns the cases of these names.
func named(all []hostileCase, names []string) (group []hostileCase) {
	for _, c := range all {
		if slices.Contains(names, c.name) {
			group = append(group, c)
		}
	}
	return group
}

func wanted(name string) bool {
	return slices.ContainsFunc(strings.Split(*only, ","), func(part string) bool { return part != "" && strings.Contains(name, part) })
}

const (
	mixed       = 5 // cases in a mixture
	mixtureWord = "mixture"
)

// mixtures returns groups of cases that happen at once: three in the long run, one where
// -only asks for it.
func mixtures(random *rand.Rand) (groups [][]hostileCase) {
	if *only != "" && !wanted(mixtureWord) || *only == "" && !*long {
		return nil
	}
	var miscible []hostileCase
	for _, c := range cases() {
		if !c.alone {
			miscible = append(miscible, c)
		}
	}
	count := 1
	if *long {
		count = 3
	}
	for range count {
		random.Shuffle(len(miscible), func(i, j int) { miscible[i], miscible[j] = miscible[j], miscible[i] })
		groups = append(groups, slices.Clone(miscible[:mixed]))
	}
	return groups
}

func nameOf(group []hostileCase) string {
	var names []string
	for _, c := range group {
		names = append(names, c.name)
	}
	return strings.Join(names, "+")
}

// play has the neighbours work alone, then beside the group's misbehaviour until that is
// over and its jobs have ended, and judges.
func play(t *testing.T, p program, group []hostileCase) row {
	w := newWorld(t, p, group)
	w.settle()
	stop := w.neighbours()
	time.Sleep(baseline())
	w.disturbed.Store(true)
	began := time.Now()
	w.attack(group)
	time.Sleep(*least - time.Since(began))
	w.drain(w.patience(), fewJobs)
	stop()
	w.drain(20*time.Second, 0)
	r := w.judge()
	r.name, r.what = nameOf(group), whatOf(group)
	if t.Failed() {
		w.keepLogs()
	}
	return r
}

func whatOf(group []hostileCase) string {
	if len(group) == 1 {
		return group[0].what
	}
	return "All of these at once."
}

// baseline is for how long the neighbours work alone.
func baseline() time.Duration { return min(max(*least/3, time.Second), 5*time.Second) }

// fewJobs is how many of the neighbours' jobs are in the queue at any time, and some more.
const fewJobs = 40
