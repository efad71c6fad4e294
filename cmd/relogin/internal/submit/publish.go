package submit

import (
	"context"
	"fmt"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

const (
	publishTries = 4           // of a job, in rounds
	publishPause = time.Second // after the first round; it doubles
)

// publish publishes all jobs, and those that failed again: they are the same jobs. When
// the very first fails, it isn't about that job, and publish gives up.
func (s *submission) publish(ctx context.Context) error {
	publisher, err := queue.NewPublisher(s.nc, s.namespace)
	if err != nil {
		return err
	}
	left, pause := s.jobs, publishPause
	for try := 1; ; try++ {
		failed, err := s.publishRound(ctx, publisher, left)
		switch {
		case len(failed) == 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.stored == 0 || try == publishTries:
			return fmt.Errorf("%d of %d jobs were not published: %w", len(failed), len(s.jobs), err)
		}
		fmt.Fprintf(s.stderr, "publishing %d jobs again: %v\n", len(failed), err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		left, pause = failed, 2*pause
	}
}

// publishRound returns the jobs that failed, and an error of one of them.
func (s *submission) publishRound(ctx context.Context, p *queue.Publisher, jobs []*worker.Job) (failed []*worker.Job, reason error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	given := 0
	each := func(yield func(*worker.Job) bool) {
		for _, j := range jobs {
			if !yield(j) {
				return
			}
			given++
		}
	}
	_ = p.PublishAll(ctx, s.lane, each, func(j *worker.Job, stored queue.Stored, err error) {
		if err == nil {
			s.wasStored(j, stored)
			return
		}
		failed = append(failed, j)
		if reason == nil {
			reason = err
		}
		if s.stored == 0 {
			cancel()
		}
	})
	return append(failed, jobs[given:]...), reason
}

func (s *submission) wasStored(j *worker.Job, stored queue.Stored) {
	s.stored++
	if s.s.Wait {
		return
	}
	_ = s.progress.Add(1)
	if (s.s.Output == output.JSON || len(s.jobs) <= fewJobs) && s.printed == nil {
		s.printed = s.printer.Published(j, s.lane, stored)
	}
}

func (s *submission) summarizePublished() {
	_ = s.progress.Finish()
	if s.s.Output == output.Text && len(s.jobs) > fewJobs {
		_ = s.printer.Printf("%d of %d jobs published\n", s.stored, len(s.jobs))
	}
}
