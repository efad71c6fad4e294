// Package submit publishes jobs and waits for their events.
package submit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/schollz/progressbar/v3"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// fewJobs are told one by one.
const fewJobs = 20

// ErrNotSucceeded is returned by [Run] when a job's event was printed whose outcome isn't
// succeeded.
var ErrNotSucceeded = errors.New("not all jobs succeeded")

// errAllEnded ends following events.
var errAllEnded = errors.New("all jobs have ended")

// submission is one publishing of jobs, and the waiting for their events.
type submission struct {
	s         *Settings
	namespace string
	lane      worker.Lane
	nc        *nats.Conn
	jobs      []*worker.Job
	ownIDs    bool // jobs of these ids may have ended before
	printer   *output.Printer
	progress  *progressbar.ProgressBar
	stderr    io.Writer

	mu        sync.Mutex
	pending   map[string]bool   // ids of the events to come
	invalid   map[string]string // by the id of the event that says that a job is invalid, the id of its event otherwise
	published bool              // all jobs are
	outcomes  map[worker.Outcome]int

	stored  int
	printed error // the first that printing a stored job returned
}

// Options are what [Run] needs.
type Options struct {
	Settings  *Settings
	Namespace string
	Conn      *nats.Conn
	Stderr    io.Writer // gets the progress, and why jobs are published again
	Printer   *output.Printer
}

// Run publishes the jobs and, if the settings say so, waits for their events. It blocks until
// that is done or ctx ends. With ownIDs jobs of the same ids may have ended before.
func Run(ctx context.Context, o Options, jobs []*worker.Job, ownIDs bool) error {
	return newSubmission(o, jobs, ownIDs).run(ctx)
}

func newSubmission(o Options, jobs []*worker.Job, ownIDs bool) *submission {
	s := o.Settings
	one := &submission{
		s: s, namespace: o.Namespace, lane: worker.Normal, nc: o.Conn, jobs: jobs, ownIDs: ownIDs,
		printer: o.Printer, progress: progressbar.DefaultSilent(int64(len(jobs))), stderr: o.Stderr,
		pending: map[string]bool{}, invalid: map[string]string{}, outcomes: map[worker.Outcome]int{},
	}
	if s.Urgent {
		one.lane = worker.Urgent
	}
	if s.Wait {
		for _, j := range jobs {
			one.expect(j)
		}
	}
	if len(jobs) > fewJobs {
		one.progress = terminal.Progress(o.Stderr, len(jobs), "")
	}
	return one
}

// expect notes that the job's event will come.
func (s *submission) expect(j *worker.Job) {
	id := j.EventID()
	s.pending[id] = true
	if body, err := j.Encode(worker.EncodingMsgpack); err == nil { // as it is published; a job that can't be is never stored
		s.invalid[j.InvalidEventID(body)] = id
	}
}

// run blocks until all jobs are published and, if so wished, have their events.
func (s *submission) run(ctx context.Context) error {
	if !s.s.Wait {
		err := s.publish(ctx)
		s.summarizePublished()
		return errors.Join(err, s.printed)
	}
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ready := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() { stop(s.follow(waiting, func() { close(ready) })) })
	err := s.publishOnce(waiting, ready, stop)
	following.Wait()
	if err == nil && !errors.Is(context.Cause(waiting), errAllEnded) {
		err = context.Cause(waiting)
	}
	return s.summarizeEvents(err)
}

// publishOnce publishes once events are followed. Waiting ends when that fails.
func (s *submission) publishOnce(ctx context.Context, ready <-chan struct{}, stop context.CancelCauseFunc) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := s.publish(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = true
	if err != nil || len(s.pending) == 0 {
		stop(errAllEnded)
	}
	return err
}

// follow returns [errAllEnded] once there is an event for each job. A job that ended
// before, within the job memory, has no second one: it is looked for.
func (s *submission) follow(ctx context.Context, ready func()) error {
	o := queue.FollowOptions{Namespace: s.namespace, Ready: ready}
	if s.ownIDs {
		o.Since = time.Now().Add(-s.s.JobMemory)
	}
	if len(s.jobs) == 1 {
		o.Account = s.jobs[0].WcID
	}
	return queue.Follow(ctx, s.nc, o, s.ended)
}

func (s *submission) ended(e *worker.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := cmp.Or(s.invalid[e.ID], e.ID)
	if !s.pending[id] {
		return nil
	}
	delete(s.pending, id)
	s.outcomes[e.Outcome]++
	if s.s.Output == output.JSON || len(s.jobs) <= fewJobs || e.Outcome != worker.Succeeded {
		_ = s.progress.Clear()
		if err := s.printer.Event(e); err != nil {
			return err
		}
	}
	_ = s.progress.Add(1)
	if s.published && len(s.pending) == 0 {
		return errAllEnded
	}
	return nil
}

// missing names the jobs that have no event, a line each.
func (s *submission) missing() string {
	var names terminal.List
	for _, j := range s.jobs {
		if id := j.EventID(); s.pending[id] {
			names.Add(terminal.Printable(j.WcID) + "  " + terminal.Printable(j.ID))
			delete(s.pending, id) // a job may be there twice
		}
	}
	return ":" + names.String()
}

// summarizeEvents returns the error that the command ends with.
func (s *submission) summarizeEvents(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.progress.Clear()
	if s.s.Output == output.Text && len(s.jobs) > fewJobs && len(s.outcomes) > 0 {
		var parts []string
		for _, outcome := range worker.Outcomes() {
			if n := s.outcomes[outcome]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
			}
		}
		_ = s.printer.Printf("%d jobs: %s\n", len(s.jobs), strings.Join(parts, ", "))
	}
	if err != nil {
		return fmt.Errorf("%w; %d of %d jobs have no event yet%s", err, len(s.pending), len(s.jobs), s.missing())
	}
	for outcome := range s.outcomes {
		if outcome != worker.Succeeded {
			return ErrNotSucceeded
		}
	}
	return nil
}
