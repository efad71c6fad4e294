// Package submit publishes jobs and waits for their events.
package submit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

const (
	fewJobs      = 20              // are told one by one
	publishPause = time.Second     // before jobs are published again; it doubles
	lastPause    = 4 * time.Second // after it they are given up
)

// ErrNotSucceeded is returned by [Run] when an event was printed that isn't succeeded.
var ErrNotSucceeded = errors.New("not all jobs succeeded")

var errAllEnded = errors.New("all jobs have ended") // ends following events

// Options are what [Run] needs.
type Options struct {
	Settings  *Settings
	Namespace string
	Conn      *nats.Conn
	Stderr    io.Writer // gets the progress, and why jobs are published again
	Printer   *output.Printer
}

// submission is one publishing of jobs, and the waiting for their events.
type submission struct {
	Options
	jobs     []*job.Job
	each     bool // job is told
	progress *progressbar.ProgressBar
	stored   int   // jobs
	printed  error // the first that printing a stored job returned

	since    time.Time         // when the first event may have been stored; zero: not before the jobs are
	pending  map[string]bool   // ids of the events to come
	invalid  map[string]string // by the id of the event that says that a job is invalid, the id of its event otherwise
	outcomes map[job.Outcome]int
}

// Run publishes the jobs and, if the settings say so, waits for their events. It blocks until
// that is done or ctx ends. Jobs without an id get one.
func Run(ctx context.Context, o Options, jobs []*job.Job) error {
	s := &submission{
		Options: o, jobs: jobs, each: true, progress: progressbar.DefaultSilent(int64(len(jobs))),
		pending: map[string]bool{}, invalid: map[string]string{}, outcomes: map[job.Outcome]int{},
	}
	if len(jobs) > fewJobs {
		s.each, s.progress = o.Settings.Output == output.JSON, terminal.Progress(o.Stderr, len(jobs), "")
	}
	for _, j := range jobs {
		if j.ID == "" {
			j.ID = uuid.Must(uuid.NewV7()).String()
		} else { // one of this id may have ended before, and has no second event
			s.since = time.Now().Add(-o.Settings.JobMemory)
		}
	}
	if o.Settings.Wait {
		return s.publishAndWait(ctx)
	}
	err := s.publish(ctx)
	_ = s.progress.Finish()
	if !s.each {
		_ = s.Printer.Print(nil, "%d of %d jobs published\n", s.stored, len(jobs))
	}
	return errors.Join(err, s.printed)
}

// publish publishes all jobs, and those that failed again: they are the same jobs. The very
// first one goes alone: when it fails, it isn't about that job, and publish gives up.
func (s *submission) publish(ctx context.Context) error {
	publisher, err := queue.NewPublisher(s.Conn, s.Namespace)
	if err != nil {
		return err
	}
	lane := job.Normal
	if s.Settings.Urgent {
		lane = job.Urgent
	}
	round := func(jobs []*job.Job) (failed []*job.Job) {
		_ = publisher.PublishAll(ctx, lane, slices.Values(jobs), func(j *job.Job, stored queue.Stored, failure error) {
			if failure != nil {
				failed, err = append(failed, j), failure
				return
			}
			s.stored++
			if s.Settings.Wait {
				return // its event is shown
			}
			_ = s.progress.Add(1)
			if s.each && s.printed == nil {
				s.printed = s.Printer.Published(j, lane, stored)
			}
		})
		return failed
	}
	left := s.jobs
	if round(s.jobs[:1]); s.stored > 0 {
		left = round(s.jobs[1:])
	}
	for pause := publishPause; s.stored < len(s.jobs); pause *= 2 {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.stored == 0 || pause > lastPause:
			return fmt.Errorf("%d of %d jobs were not published: %w", len(left), len(s.jobs), err)
		}
		fmt.Fprintf(s.Stderr, "publishing %d jobs again: %v\n", len(left), err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		left = round(left)
	}
	return nil
}

// publishAndWait publishes the jobs once events are followed, and blocks until each has one.
func (s *submission) publishAndWait(ctx context.Context) error {
	for _, j := range s.jobs {
		id := j.EventID()
		s.pending[id] = true
		if body, err := j.Encode(job.EncodingMsgpack); err == nil { // as it is published; a job that can't be is never stored
			s.invalid[j.InvalidEventID(body)] = id
		}
	}
	o := queue.FollowOptions{Namespace: s.Namespace, Since: s.since}
	if len(s.jobs) == 1 {
		o.Account = s.jobs[0].WcID
	}
	both, ctx := errgroup.WithContext(ctx)
	o.Ready = func() { both.Go(func() error { return s.publish(ctx) }) }
	both.Go(func() error {
		if err := queue.Follow(ctx, s.Conn, o, s.ended); !errors.Is(err, errAllEnded) {
			return err
		}
		return nil
	})
	return s.summarizeEvents(both.Wait())
}

// ended takes an event, and returns [errAllEnded] once there is one for each job.
func (s *submission) ended(e *job.Event) error {
	id := cmp.Or(s.invalid[e.ID], e.ID)
	if !s.pending[id] {
		return nil
	}
	delete(s.pending, id)
	s.outcomes[e.Outcome]++
	if s.each || e.Outcome != job.Succeeded {
		_ = s.progress.Clear()
		if err := s.Printer.Event(e); err != nil {
			return err
		}
	}
	_ = s.progress.Add(1)
	if len(s.pending) == 0 {
		return errAllEnded
	}
	return nil
}

// summarizeEvents returns the error that the command ends with.
func (s *submission) summarizeEvents(err error) error {
	_ = s.progress.Clear()
	if !s.each && len(s.outcomes) > 0 {
		_ = s.Printer.Print(nil, "%d jobs: %s\n", len(s.jobs), output.Counts(s.outcomes))
	}
	if err != nil {
		missing := len(s.pending)
		var names []string
		for _, j := range s.jobs {
			if id := j.EventID(); s.pending[id] {
				names = append(names, terminal.Printable(j.WcID)+"  "+terminal.Printable(j.ID))
				delete(s.pending, id) // a job may be there twice
			}
		}
		return fmt.Errorf("%w; %d of %d jobs have no event yet:%s", err, missing, len(s.jobs), terminal.Some(names))
	}
	if len(s.outcomes) > 1 || s.outcomes[job.Succeeded] == 0 {
		return ErrNotSucceeded
	}
	return nil
}
