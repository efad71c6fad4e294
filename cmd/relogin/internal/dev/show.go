package dev

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
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
	if d.console != "" {
		fmt.Fprintf(d.Stdout, "Console  %s\n", d.console)
	}
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
	command := "go run github.com/relogin/relogin/cmd/relogin"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		command += "@" + info.Main.Version
	}
	return command
}

// natsProgram returns the nats command line, or what fetches it.
func natsProgram() string {
	if _, err := exec.LookPath("nats"); err == nil {
		return "nats"
	}
	return "go run github.com/nats-io/natscli/nats@latest \\\n   "
}

// announce prints what the samples are, and how each is to end.
func (d *dev) announce() {
	fmt.Fprint(d.Stdout, `Samples: jobs that end in each of the ways there are, within ten seconds or so.
Their mishaps are staged: log lines with WARN or ERROR belong to them.

`)
	const row = "  %-16s  %-43s  %s\n"
	fmt.Fprintf(d.Stdout, row, "SAMPLE", "WHAT HAPPENS", "IS TO END AS")
	for _, s := range d.samples {
		if s.story != "" {
			fmt.Fprintf(d.Stdout, row, s.name, s.story, s.ends)
		}
	}
	if n := d.Settings.Jobs; n > 0 {
		fmt.Fprintf(d.Stdout, row, fmt.Sprintf("job-1 to job-%d", n), "three for each account, and all confirm", job.Succeeded)
	}
	fmt.Fprintln(d.Stdout)
}

// see shows an event, and submits what waited for it. It returns [errAllEnded] after the last
// sample's, unless dev mode is to go on.
func (d *dev) see(ctx context.Context, e *job.Event) error {
	s, sampled := d.pending[e.JobID]
	delete(d.pending, e.JobID)
	d.outcomes[e.Outcome]++
	if e.SharedWith != "" {
		d.shared++
	}
	var err error
	if s.story == "" {
		err = d.Printer.Event(e)
	} else if err = d.judge(e, s); err == nil {
		err = d.submitAfter(ctx, s.name)
	}
	if err != nil || !sampled || len(d.pending) > 0 {
		return err
	}
	d.summarize()
	if d.Settings.Once {
		return errAllEnded
	}
	_, err = fmt.Fprint(d.Stdout, goingOn)
	return err
}

// judge prints a sample's event, and whether that ended as it was to.
func (d *dev) judge(e *job.Event, s sample) error {
	verdict := "as expected"
	if e.Outcome == s.ends {
		d.expected++
	} else {
		verdict = "NOT as expected: " + string(s.ends) + " was"
	}
	_, err := fmt.Fprintf(d.Stdout, "%s  %s  %-16s  %s\n", e.FinishedAt.Local().Format(time.TimeOnly), d.Printer.Outcome(e.Outcome), s.name, verdict)
	run := strings.TrimSuffix(e.JobID, s.name)
	terminal.Wrap(d.Stdout, min(terminal.Width(d.Stdout), 80), "          ", strings.ReplaceAll(output.Notes(e), run, ""))
	return err
}

func (d *dev) summarize() {
	jobs, table := 0, ""
	for _, outcome := range job.Outcomes() {
		jobs += d.outcomes[outcome]
		table += fmt.Sprintf("  %-12s  %d\n", outcome, d.outcomes[outcome])
	}
	stats := d.gateway.Stats()
	fmt.Fprintf(d.Stdout, "\n%d jobs, %d events; %d of %d samples ended as expected:\n%s", jobs, jobs, d.expected, len(d.samples)-d.Settings.Jobs, table)
	fmt.Fprintf(d.Stdout, "%d jobs shared another's tap.\nThe phones were asked %d times, at most %d at once for one account.\n",
		d.shared, stats.Prompts, stats.MaxOpenPerAccount)
}
