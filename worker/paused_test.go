package worker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// switches are the pauses of a test: on while their channel is there.
type switches struct {
	mu      sync.Mutex
	lanes   map[job.Lane]chan struct{}
	account map[string]chan struct{}
}

func newSwitches() *switches {
	return &switches{lanes: map[job.Lane]chan struct{}{}, account: map[string]chan struct{}{}}
}

func (s *switches) Paused(lane job.Lane, _, wcID string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.lanes[lane]; c != nil {
		return c
	}
	if c := s.account[wcID]; c != nil { // a nil channel of that type would be no nil of the result's
		return c
	}
	return nil
}

func flip[K comparable](s *switches, of map[K]chan struct{}, key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := of[key]; c != nil {
		close(c)
		delete(of, key)
		return
	}
	of[key] = make(chan struct{})
}

func paused(t *testing.T, run func(t *testing.T, s *stage, pauses *switches)) {
	synctest.Test(t, func(t *testing.T) {
		s, pauses := newStage(), newSwitches()
		s.Pauses = pauses
		stop := s.start(t)
		defer stop()
		run(t, s, pauses)
	})
}

func TestPausedJobWaitsWithoutTheStore(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		flip(pauses, pauses.account, "a")
		s.send("a", "b")
		time.Sleep(time.Hour)
		if got := s.succeeded(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("succeeded: %v, want b alone", got)
		}
		if asked := strings.Count(s.happened(), "begin"); asked != 1 {
			t.Errorf("the store was asked %d times, want once, for b:\n%s", asked, s.happened())
		}
		flip(pauses, pauses.account, "a")
		synctest.Wait()
		if got := s.succeeded(); !slices.Contains(got, "a") {
			t.Errorf("the job did not go on when it was resumed: %s", s.happened())
		}
	})
}

func TestPausedJobExpiresInTime(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		flip(pauses, pauses.account, "a")
		deadline := time.Now().Add(10 * time.Minute)
		s.begin = func(a Ask) (Answer, error) {
			if time.Now().Before(deadline) {
				t.Error("the store was asked before the deadline")
			}
			return Answer{State: TooLate, Now: time.Now()}, nil
		}
		s.deliver <- s.job(`{"wcId":"a","id":"1","deadline":"` + deadline.Format(time.RFC3339Nano) + `"}`)
		time.Sleep(11 * time.Minute)
		if len(s.stored()) != 1 || s.stored()[0].Outcome != job.Expired {
			t.Errorf("events: %v, want one that says expired", s.stored())
		}
	})
}

// A redelivered job asks the store once: its own confirmation may have ended. It does not prompt.
func TestPausedJobIsToldWhatItMissed(t *testing.T) {
	for about, state := range map[string]State{"a result": Done, "a lost answer": InDoubt, "nothing": Granted} {
		t.Run(about, func(t *testing.T) {
			paused(t, func(t *testing.T, s *stage, pauses *switches) {
				flip(pauses, pauses.account, "a")
				s.begin = func(a Ask) (Answer, error) {
					return Answer{State: state, Now: time.Now(), Token: a.Token, Result: &job.Result{Outcome: job.Failed}}, nil
				}
				s.login = func(context.Context, *job.Job, func() error) (Reply, error) {
					t.Error("a paused account was prompted")
					return Reply{}, nil
				}
				again := s.job(`{"wcId":"a","id":"1"}`)
				again.Attempts = 2
				s.deliver <- again
				time.Sleep(time.Hour)
				if asked := strings.Count(s.happened(), "begin"); asked != 1 {
					t.Errorf("the store was asked %d times, want once:\n%s", asked, s.happened())
				}
				if ended := len(s.stored()) == 1; ended != (state != Granted) {
					t.Errorf("events: %v after %s", s.stored(), state)
				}
			})
		})
	}
}

// A job that waits for a confirmation when it is paused still shares its result.
func TestPausedJobSharesWhatIsOpen(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		var ended bool
		s.begin = func(a Ask) (Answer, error) {
			if ended {
				return Answer{State: Shared, Now: time.Now(), Token: "t", By: "other", Result: &job.Result{Outcome: job.Succeeded}}, nil
			}
			return Answer{State: Held, Now: time.Now(), Token: "t", By: "other", Wait: time.Hour}, nil
		}
		s.send("a")
		synctest.Wait()
		flip(pauses, pauses.account, "a")
		ended = true
		s.wakeUp("a")
		synctest.Wait()
		if len(s.stored()) != 1 || s.stored()[0].SharedWith != "other" {
			t.Errorf("events: %v, want the shared one", s.stored())
		}
	})
}

// Who is paused does not lead those that wait for the account.
func TestPausedJobHoldsUpNobody(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		free := false
		s.begin = func(a Ask) (Answer, error) {
			if free {
				return Answer{State: Granted, Now: time.Now(), Token: a.Token}, nil
			}
			return Answer{State: Held, Now: time.Now(), Token: "t", By: "other", Wait: time.Hour}, nil
		}
		first, second := s.job(`{"wcId":"a","id":"1","tenant":"x"}`), s.job(`{"wcId":"a","id":"2","tenant":"y"}`)
		first.Lane, second.Lane = job.Normal, job.Urgent
		s.deliver <- first
		synctest.Wait()
		s.deliver <- second
		synctest.Wait()
		flip(pauses, pauses.lanes, job.Normal)
		free = true
		s.wakeUp("a")
		time.Sleep(time.Minute)
		if len(s.stored()) != 1 || s.stored()[0].JobID != "2" {
			t.Errorf("events: %v, want that of job 2", s.stored())
		}
	})
}

// A pause counts until the first byte is written.
func TestPausedBeforeTheRequestIsWritten(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		login := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if s.login = login; len(pauses.account) == 0 {
				flip(pauses, pauses.account, "a")
			}
			if err := beforeSend(); err != nil {
				return Reply{}, err
			}
			t.Error("the request was sent")
			return Reply{}, nil
		}
		s.send("a")
		time.Sleep(time.Minute)
		if len(s.stored()) > 0 || !strings.Contains(s.happened(), "release") {
			t.Errorf("the account was not let go of, or the job ended: %s", s.happened())
		}
		flip(pauses, pauses.account, "a")
		time.Sleep(time.Minute)
		if got := s.succeeded(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("succeeded: %v, want a", got)
		}
	})
}

// Of a paused lane only so many jobs are taken that each has room to wait.
func TestPausedLaneStaysInTheQueue(t *testing.T) {
	paused(t, func(t *testing.T, s *stage, pauses *switches) {
		s.room.size = 40
		flip(pauses, pauses.lanes, job.Normal)
		for range 90 {
			s.send("a")
		}
		time.Sleep(time.Hour)
		if strings.Contains(s.happened(), "back") {
			t.Errorf("jobs were taken that had no room: %s", s.happened())
		}
		if left := len(s.deliver); left < 70 || left > 85 {
			t.Errorf("%d jobs are left in the queue, want about 80 of 90", left)
		}
		flip(pauses, pauses.lanes, job.Normal)
		time.Sleep(time.Minute)
		if got := s.succeeded(); len(got) != 90 {
			t.Errorf("%d jobs succeeded after the lane was resumed, want 90", len(got))
		}
	})
}
