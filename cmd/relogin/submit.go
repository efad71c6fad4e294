package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/relogin/relogin/worker"
)

// submitSettings say which jobs to publish. They are flags alone.
type submitSettings struct {
	File      string
	Urgent    bool
	Deadline  time.Time
	Tenant    string
	Labels    map[string]string
	ID        string
	Wait      bool
	Timeout   time.Duration
	JobMemory time.Duration
	Output    output
}

func (j *submitSettings) declare(s *settings) {
	s.titled("Jobs")
	s.addFlag("file", text(&j.File), "", "file of jobs; - is standard input")
	s.addFlag("urgent", toggle(&j.Urgent), "", "somebody waits at the phone: go before the normal ones")
	s.addFlag("deadline", moment(&j.Deadline, 1), "", "when it is too late to ask: a duration from now on, such as 5m, or a time, such as 2026-01-31T15:04:05Z")
	s.addFlag("tenant", text(&j.Tenant), "", "whose credential to use").fallsBackTo("default")
	s.addFlag("label", pairs(&j.Labels), "", "key=value that comes back in the event; may be repeated")
	s.addFlag("id", text(&j.ID), "", "the job's id, for one wcId alone").fallsBackTo("a new UUID for each job")
	s.titled("Waiting")
	s.addFlag("wait", toggle(&j.Wait), "", "wait for the jobs' events; exit with 1 unless all succeeded")
	s.addFlag("timeout", duration(&j.Timeout, 0, 365*day), "0s", "give up after this, with status 1; 0s: never, but for a server that can't be reached within 10s")
	declareJobMemory(s, &j.JobMemory)
	s.titled("Output")
	declareOutput(s, &j.Output)
}

func (*submitSettings) check(*settings) {}

func newSubmitCommand(a *app) *cobra.Command {
	var s struct {
		Jobs submitSettings
		NATS natsSettings
		Log  logSettings
	}
	cmd := &cobra.Command{
		Use:   "submit [flags] [WCID…]",
		Short: "publish jobs",
		Long: `Publishes a job for each wcId, and with --wait waits until each has its event.

A file has a wcId a line, or is CSV whose first line names the columns: ` + columnNames + `. Blank lines and those that begin with # are passed over. All of it is read and checked before the first job is published: with a wrong line nothing is, and each is named.`,
		Example: `  relogin submit wxid_1 wxid_2
  relogin submit wxid_1 --urgent --deadline 3m --wait
  printf 'wcId,id,label.batch\nwxid_1,job-1,7\n' | relogin submit --file - --wait -o json`,
		Args: func(_ *cobra.Command, args []string) error { return s.Jobs.checkArguments(args) },
	}
	settings := a.declare(cmd, &s.Jobs, &s.NATS, &s.Log)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if d := s.Jobs.Timeout; d > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, d, fmt.Errorf("time-out after %s", d))
			defer cancel()
		}
		jobs, ownIDs, err := a.gatherJobs(&s.Jobs, args)
		if err != nil {
			return err
		}
		nc, err := s.NATS.connectSoon(ctx, "relogin submit", a.logger(settings, s.Log), cmp.Or(s.Jobs.Timeout, patience))
		if err != nil {
			return err
		}
		defer nc.Close()
		return a.newSubmission(&s.Jobs, s.NATS.Namespace, nc, jobs, ownIDs).run(ctx)
	}
	return cmd
}

func (j *submitSettings) checkArguments(args []string) error {
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
func (j *submitSettings) job(wcID string) *worker.Job {
	return &worker.Job{WcID: wcID, ID: j.ID, Tenant: j.Tenant, Deadline: j.Deadline, Labels: maps.Clone(j.Labels)}
}

// gatherJobs returns the jobs of the arguments and of the file, each with an id, and
// whether some had one of their own.
func (a *app) gatherJobs(s *submitSettings, args []string) (jobs []*worker.Job, ownIDs bool, err error) {
	for _, wcID := range args {
		jobs = append(jobs, s.job(wcID))
	}
	if s.File != "" {
		more, err := a.readJobFile(s)
		if err != nil {
			return nil, false, err
		}
		jobs = append(jobs, more...)
	}
	if len(jobs) == 0 {
		return nil, false, usageError{fmt.Errorf("no jobs in %s", s.File)}
	}
	for _, j := range jobs {
		if j.ID != "" {
			ownIDs = true
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, false, fmt.Errorf("make job id: %w", err)
		}
		j.ID = id.String()
	}
	return jobs, ownIDs, nil
}

func (a *app) readJobFile(s *submitSettings) ([]*worker.Job, error) {
	name, r := "standard input", a.stdin
	if s.File != "-" {
		f, err := os.Open(s.File)
		if err != nil {
			return nil, usageError{fmt.Errorf("flag --file: %w", err)}
		}
		defer f.Close()
		name, r = s.File, io.Reader(f)
	}
	jobs, err := readJobs(r, func() *worker.Job { return s.job("") })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return jobs, nil
}
