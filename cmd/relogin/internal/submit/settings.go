package submit

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/jobfile"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/job"
)

// Settings say which jobs to publish. They are flags alone.
type Settings struct {
	File      string
	Urgent    bool
	Deadline  time.Time
	Tenant    string
	Labels    map[string]string
	ID        string
	Wait      bool
	Timeout   time.Duration
	JobMemory time.Duration
	Output    output.Format
}

// Declare implements [settings.Group].
func (j *Settings) Declare(s *settings.Settings) {
	s.Section("Jobs")
	s.AddFlag("file", settings.Text(&j.File), "", "file of jobs; - is standard input")
	s.AddFlag("urgent", settings.Bool(&j.Urgent), "", "somebody waits at the phone: go before the normal ones")
	s.AddFlag("deadline", settings.Time(&j.Deadline, 1), "", "when it is too late to ask: a duration from now on, such as 5m, or a time, such as 2026-01-31T15:04:05Z")
	s.AddFlag("tenant", settings.Text(&j.Tenant), "", "whose credential to use").Default = "default"
	s.AddFlag("label", settings.Pairs(&j.Labels), "", "key=value that comes back in the event; may be repeated")
	s.AddFlag("id", settings.Text(&j.ID), "", "the job's id, for one wcId alone").Default = "a new UUID for each job"
	s.Section("Waiting")
	s.AddFlag("wait", settings.Bool(&j.Wait), "", "wait for the jobs' events; exit with 1 unless all succeeded")
	s.AddFlag("timeout", settings.Duration(&j.Timeout, 0, 365*settings.Day), "0s", "give up after this, with status 1; 0s: never, but for a server that can't be reached within 10s")
	backend.DeclareJobMemory(s, &j.JobMemory)
	s.Section("Output")
	output.Declare(s, &j.Output)
}

// CheckArguments returns what is wrong with the arguments of the command line, which are wcIds.
func (j *Settings) CheckArguments(args []string) error {
	switch {
	case len(args) == 0 && j.File == "":
		return errors.New("which jobs? Name wcIds, or a file with --file")
	case j.ID != "" && (len(args) != 1 || j.File != ""):
		return errors.New("flag --id: is for one wcId alone")
	}
	for _, wcID := range args {
		if err := j.job(wcID).Check(); err != nil {
			return fmt.Errorf("wcId %q: %w", wcID, err)
		}
	}
	return nil
}

// job returns one that has what the flags say.
func (j *Settings) job(wcID string) *job.Job {
	return &job.Job{WcID: wcID, ID: j.ID, Tenant: j.Tenant, Deadline: j.Deadline, Labels: maps.Clone(j.Labels)}
}

// Gather returns the jobs of the arguments and of the file.
func (j *Settings) Gather(args []string, stdin io.Reader) (jobs []*job.Job, err error) {
	for _, wcID := range args {
		jobs = append(jobs, j.job(wcID))
	}
	if j.File == "" {
		return jobs, nil
	}
	name := "standard input"
	if j.File != "-" {
		f, err := os.Open(j.File)
		if err != nil {
			return nil, settings.UsageError{Err: fmt.Errorf("flag --file: %w", err)}
		}
		defer f.Close()
		name, stdin = j.File, f
	}
	more, err := jobfile.Read(stdin, func() *job.Job { return j.job("") })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if jobs = append(jobs, more...); len(jobs) == 0 {
		return nil, settings.UsageError{Err: fmt.Errorf("no jobs in %s", name)}
	}
	return jobs, nil
}
