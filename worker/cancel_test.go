package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// canceller answers with these errors, in turn.
type canceller struct {
	errs    []error
	calls   int
	earlier *job.Result // of a cancellation before
}

func (c *canceller) Cancel(_ context.Context, _, _ string, _ time.Time, r job.Result) (job.Result, error) {
	c.calls++
	if c.earlier != nil {
		r = *c.earlier
	}
	return r, c.errs[min(c.calls, len(c.errs))-1]
}

func TestCancel(t *testing.T) {
	errAway := errors.New("redis is away")
	for about, test := range map[string]struct {
		errs      []error
		delivered bool // before
		published bool // by another delivery
		want      error
		calls     int
		events    int
	}{
		"a job that waits":                      {errs: []error{nil}, calls: 1, events: 1},
		"one that was delivered":                {errs: []error{nil}, delivered: true, calls: 1, events: 1},
		"one whose event is there":              {errs: []error{nil}, delivered: true, published: true, calls: 1},
		"one that has its account for a moment": {errs: []error{ErrAsked, ErrAsked, nil}, calls: 3, events: 1},
		"one that asks":                         {errs: []error{ErrAsked}, want: ErrAsked, calls: cancelTries},
		"one that has ended":                    {errs: []error{ErrEnded}, want: ErrEnded, calls: 1},
		"while the store is away":               {errs: []error{errAway}, want: errAway, calls: 1},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newStage(), &canceller{errs: test.errs}
				s.published = test.published
				j := &job.Job{ID: "j", WcID: "a", Tenant: "t", Labels: map[string]string{"k": "v"}}
				_, err := Cancel(t.Context(), s, c, Cancellation{Job: j, Record: "j", StoredAt: noon, Delivered: test.delivered, By: "me", Reason: "tired"})
				if !errors.Is(err, test.want) || c.calls != test.calls || len(s.stored()) != test.events {
					t.Fatalf("%v after %d calls, and %d events; want %v, %d, %d", err, c.calls, len(s.stored()), test.want, test.calls, test.events)
				}
				for _, e := range s.stored() {
					if e.Outcome != job.Cancelled || e.Message != "cancelled by me: tired" || e.ID != j.EventID() || e.Prompted ||
						e.JobID != "j" || e.Tenant != "t" || e.Labels["k"] != "v" || !e.RequestedAt.Equal(noon) {
						t.Errorf("event: %+v", e)
					}
				}
			})
		})
	}
}

// Somebody whose cancellation broke off repeats it when the server no longer knows the event's id.
func TestCancelAgain(t *testing.T) {
	earlier := &job.Result{Outcome: job.Cancelled, Message: "cancelled by another", StartedAt: noon, FinishedAt: noon}
	for published, events := range map[bool]int{true: 0, false: 1} {
		s, c := newStage(), &canceller{errs: []error{nil}, earlier: earlier}
		s.published = published
		e, err := Cancel(t.Context(), s, c, Cancellation{Job: &job.Job{ID: "j", WcID: "a"}, Record: "j", StoredAt: noon, By: "me"})
		if err != nil || len(s.stored()) != events || e.Message != earlier.Message {
			t.Errorf("an event before: %t: %v, %+v, and %d events; want %d", published, err, e, len(s.stored()), events)
		}
	}
}

// A job that waits looks again when it is told to, whatever it waits for.
func TestLookAgain(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		flip(pauses, pauses.account, "a")
		s.begin = func(Ask) (Answer, error) {
			return Answer{State: Done, Now: time.Now(), Result: &job.Result{Outcome: job.Cancelled}}, nil
		}
		s.send("a")
		synctest.Wait()
		s.LookAgain("a", "another")
		s.LookAgain("b", "j")
		time.Sleep(time.Hour)
		if len(s.stored()) > 0 {
			t.Fatalf("it looked although nobody told it: %v", s.stored())
		}
		if got := s.Status(10).Waiting[WaitsForResume]; got != 1 {
			t.Errorf("%d jobs are said to be paused", got)
		}
		s.LookAgain("a", "j")
		synctest.Wait()
		if len(s.stored()) != 1 || s.stored()[0].Outcome != job.Cancelled {
			t.Errorf("events: %v", s.stored())
		}
		if jobs := s.Jobs("a", 10); len(jobs) != 0 {
			t.Errorf("it is said to have jobs still: %v", jobs)
		}
	})
}
