package bench

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/worker"
)

// fewOpen are too few prompts to tell what one of them takes.
const fewOpen = 1000

// figures are what a run has shown.
type figures struct {
	JobsPerSecond            float64                `json:"jobsPerSecond"`
	Seconds                  float64                `json:"seconds"`
	AddedLatency             *latency               `json:"addedLatencyMs,omitempty"` // with a rate
	WorkerCPU                float64                `json:"workerCpuMicrosecondsPerJob"`
	IdleResidentBytes        int64                  `json:"idleResidentBytes,omitempty"`
	PeakResidentBytes        int64                  `json:"peakResidentBytes,omitempty"`
	BytesPerOpenConfirmation int64                  `json:"bytesPerOpenConfirmation,omitempty"` // where people take their time
	Outcomes                 map[worker.Outcome]int `json:"outcomes"`
	Shared                   int                    `json:"shared"` // jobs that another's prompt answered
	Prompts                  int                    `json:"prompts"`
	MostOpen                 int                    `json:"mostOpen"`
	MostOpenForOneAccount    int                    `json:"mostOpenForOneAccount"`
	Namespace                string                 `json:"namespace"`
	Settings                 shownSettings          `json:"settings"`
	Version                  string                 `json:"version"`
	CPUs                     int                    `json:"cpus"` // of this machine, for the worker and the bench

	backlog, live     time.Duration // from the first prompt, and from the first job, to the last event
	added             *latency
	repeated, foreign int
	command           string
}

// shownSettings are the settings as -o json has them.
type shownSettings struct {
	Jobs                int     `json:"jobs"`
	Accounts            int     `json:"accounts"`
	Concurrency         int     `json:"concurrency"`
	ConfirmAfterSeconds float64 `json:"confirmAfterSeconds"`
	Rate                float64 `json:"rate"`
	Replicas            int     `json:"replicas"`
}

// describe adds how the figures were made, and leaves out those that mean nothing then.
func (f *figures) describe(namespace, version string, s *LoadSettings) {
	f.Namespace, f.Version, f.CPUs, f.command = namespace, version, runtime.NumCPU(), s.command()
	f.Settings = shownSettings{s.Jobs, s.Accounts, s.Concurrency, s.ConfirmAfter.Seconds(), s.Rate, s.Replicas}
	took := f.backlog
	if s.Rate > 0 {
		took, f.AddedLatency = f.live, f.added
	}
	took = max(took, time.Millisecond)
	f.Seconds, f.JobsPerSecond = took.Round(time.Millisecond).Seconds(), math.Round(float64(s.Jobs)/took.Seconds()*10)/10
	if s.ConfirmAfter == 0 || f.MostOpen < fewOpen {
		f.BytesPerOpenConfirmation = 0
	}
}

func (f *figures) print(p *output.Printer) error {
	if p.Format() == output.JSON {
		return p.JSON(f)
	}
	return p.Printf("%s", f.table())
}

// table returns what a person reads at a glance.
func (f *figures) table() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-20s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("jobs a second", "%.0f (%d in %.2f s)", f.JobsPerSecond, f.Settings.Jobs, f.Seconds)
	if l := f.AddedLatency; l != nil {
		line("added latency", "%s (%d jobs)", l, l.Jobs)
	}
	line("worker's CPU", "%.0f µs a job", f.WorkerCPU)
	line("worker's memory", "%s at its peak, %s idle", mebibytes(f.PeakResidentBytes), mebibytes(f.IdleResidentBytes))
	if n := f.BytesPerOpenConfirmation; n > 0 {
		line("", "%.1f KiB for an open confirmation", float64(n)/1024)
	}
	line("outcomes", "%s; %d shared another's prompt", f.outcomes(), f.Shared)
	line("prompts", "%d; at most %d open at once, %d of one account", f.Prompts, f.MostOpen, f.MostOpenForOneAccount)
	line("measured by", "%s", f.command)
	line("", "relogin %s, %d processors", f.Version, f.CPUs)
	return b.String()
}

// outcomes returns how many jobs ended in each.
func (f *figures) outcomes() string {
	var parts []string
	for _, outcome := range worker.Outcomes() {
		if n := f.Outcomes[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
}

func mebibytes(n int64) string {
	if n == 0 {
		return "not known here"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// defects returns what must not happen, however slow servers are.
func (f *figures) defects() error {
	var all []error
	note := func(n int, what string) {
		if n > 0 {
			all = append(all, fmt.Errorf(what, n))
		}
	}
	note(f.Settings.Jobs-f.Outcomes[worker.Succeeded], "%d jobs did not succeed")
	note(f.repeated, "%d events were of jobs that had one already")
	note(f.foreign, "%d events were of jobs that are not the run's: somebody else publishes in its namespace")
	if f.MostOpenForOneAccount > 1 {
		all = append(all, fmt.Errorf("%d prompts of one account were open at once: this is a defect in relogin", f.MostOpenForOneAccount))
	}
	return errors.Join(all...)
}
