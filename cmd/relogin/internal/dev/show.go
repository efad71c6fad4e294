package dev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker/job"
)

// introduce prints where the servers are, and commands that work as they stand.
func (d *dev) introduce() {
	fmt.Fprintf(d.Stdout, "NATS     %s\nRedis    %s (embedded)\nGateway  %s\n", d.Settings.NATS.Options.URL, d.Settings.Redis.URL, d.Settings.Gateway.URL)
	if !d.Simulate {
		fmt.Fprintf(d.Stdout, "The embedded Redis forgets at the end whose phone is asking: wait %v before you start again.\n", d.Settings.Pipeline.ConfirmTimeout)
	}
	if !d.Settings.Once {
		fmt.Fprintf(d.Stdout, `
From another terminal:
  %[1]s submit%[2]s --wait confirm-me decline-me
  %[1]s watch%[2]s --since 1h
  %[3]s%[4]s pub relogin.jobs.urgent '{"wcId":"by-hand"}'
`, program(), d.flag("--nats-url"), natsProgram(), d.flag("-s"))
	}
	fmt.Fprintln(d.Stdout)
}

// flag is what other commands need to find the server: nothing where it has its usual port.
func (d *dev) flag(name string) string {
	if url := d.Settings.NATS.Options.URL; url != "nats://127.0.0.1:4222" {
		return " " + name + " " + url
	}
	return ""
}

// program returns what a shell starts this program with again. What go run has built is
// gone later.
func program() string {
	executable, err := os.Executable()
	if err != nil || !strings.Contains(executable, string(filepath.Separator)+"go-build") {
		if strings.Contains(os.Args[0], " ") {
			return strconv.Quote(os.Args[0])
		}
		return os.Args[0]
	}
	if _, err := os.Stat("cmd/relogin/main.go"); err == nil {
		return "go run ./cmd/relogin"
	}
	path, version := "github.com/relogin/relogin/cmd/relogin", ""
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version = "@" + info.Main.Version
	}
	return "go run " + path + version
}

// natsProgram returns the nats command line, or what fetches it.
func natsProgram() string {
	if _, err := exec.LookPath("nats"); err == nil {
		return "nats"
	}
	return "go run github.com/nats-io/natscli/nats@latest \\\n   "
}

// announce prints what the samples are, and how each is to end.
func (d *dev) announce(all []sample) {
	fmt.Fprint(d.Stdout, `Samples: jobs that end in each of the ways there are, within ten seconds or so.
Their mishaps are staged: log lines with WARN or ERROR belong to them.

`)
	fmt.Fprintf(d.Stdout, "  %-16s  %-43s  %s\n", "SAMPLE", "WHAT HAPPENS", "IS TO END AS")
	for _, s := range all {
		fmt.Fprintf(d.Stdout, "  %-16s  %-43s  %s\n", s.name, s.story, s.ends)
	}
	if n := d.Settings.Jobs; n > 0 {
		fmt.Fprintf(d.Stdout, "  %-16s  %-43s  %s\n", fmt.Sprintf("job-1 to job-%d", n), "three for each account, and all confirm", job.Succeeded)
	}
	fmt.Fprintln(d.Stdout)
}

// see prints one event and remembers it. Of a sample's it says whether that ended as it was to.
func (d *dev) see(e *job.Event) error {
	d.ended[e.JobID] = e
	s, staged := d.staged[e.JobID]
	if !staged {
		return d.Printer.Event(e)
	}
	verdict := "as expected"
	if e.Outcome != s.ends {
		verdict = "NOT as expected: " + string(s.ends) + " was"
	}
	_, err := fmt.Fprintf(d.Stdout, "%s  %s  %-16s  %s\n", e.FinishedAt.Local().Format(time.TimeOnly), d.Printer.Outcome(e.Outcome), s.name, verdict)
	run := strings.TrimSuffix(e.JobID, s.name)
	terminal.Wrap(d.Stdout, min(terminal.Width(d.Stdout), 80), "          ", strings.ReplaceAll(output.Notes(e), run, ""))
	return err
}

// await shows events until the jobs have ended.
func (d *dev) await(ctx context.Context, jobs ...string) error {
	for {
		jobs = slices.DeleteFunc(jobs, func(id string) bool { return d.ended[id] != nil })
		if len(jobs) == 0 {
			return nil
		}
		select {
		case e := <-d.events:
			if err := d.see(e); err != nil {
				return err
			}
		case <-time.After(time.Minute):
			return fmt.Errorf("no event came for a minute; these jobs have none: %s", strings.Join(jobs, ", "))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *dev) summarize() {
	counts := map[job.Outcome]int{}
	shared, expected := 0, 0
	for id, e := range d.ended {
		counts[e.Outcome]++
		if e.SharedWith != "" {
			shared++
		}
		if s, staged := d.staged[id]; staged && e.Outcome == s.ends {
			expected++
		}
	}
	jobs, samples := len(d.ended), len(d.staged)
	fmt.Fprintf(d.Stdout, "\n%d jobs, %d events; %d of %d samples ended as expected:\n", jobs, jobs, expected, samples)
	for _, outcome := range job.Outcomes() {
		fmt.Fprintf(d.Stdout, "  %-12s  %d\n", outcome, counts[outcome])
	}
	stats := d.gateway.Stats()
	fmt.Fprintf(d.Stdout, "%d jobs shared another's tap.\nThe phones were asked %d times, at most %d at once for one account.\n",
		shared, stats.Prompts, stats.MaxOpenPerAccount)
}
