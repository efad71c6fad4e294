package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// mustServeBeside has three times as many jobs as there are slots wait for what does not
// come, and holds that healthy accounts' jobs end all the same.
func (s *stage) mustServeBeside(t *testing.T, waiting string) {
	t.Helper()
	s.room.size = 1000
	stop := s.start(t)
	for i := range 3 * s.Concurrency {
		s.send(fmt.Sprint(waiting, i))
	}
	time.Sleep(time.Minute)
	s.mustServe(t)
	stop()
}

// mustServe holds that healthy accounts' jobs end soon.
func (s *stage) mustServe(t *testing.T) {
	t.Helper()
	for i := range 10 {
		s.send(fmt.Sprint("good-", i))
	}
	time.Sleep(2 * time.Second)
	if got := s.succeeded(); len(got) != 10 {
		t.Errorf("ended: %v", got)
	}
}

// An event that can't be stored holds no slot that a new confirmation needs.
func TestEventThatIsRefusedHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.publish = func(e *job.Event) error {
			if strings.HasPrefix(e.WcID, "poison") {
				return errors.New("the server says something that this version does not know")
			}
			return nil
		}
		s.mustServeBeside(t, "poison-")
	})
}

// Dead letters can't be stored, and there are more of them than may wait: they go back, and
// healthy jobs are taken as fast as before.
func TestDeadLettersThatCantBeStoredHoldNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.bury = errors.New("maximum messages exceeded")
		s.room.size = 6
		stop := s.start(t)
		for range 2 { // what comes when it has failed for long must not stay either
			for range 5 * s.Concurrency {
				s.deliver <- s.job("no job")
			}
			time.Sleep(30 * time.Second)
		}
		s.mustServe(t)
		stop()
	})
}

// One shard of the store fails: only the accounts there wait, without slots.
func TestAccountsThatCantBeAskedForHoldNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.begin = func(a Ask) (Answer, error) {
			if strings.HasPrefix(a.WcID, "lost") {
				return Answer{}, errors.New("TRYAGAIN")
			}
			return Answer{State: Granted, Now: time.Now()}, nil
		}
		s.mustServeBeside(t, "lost-")
	})
}

// A tenant's gateway, or its people, never answer: its jobs hold the slots of its share,
// however many they are.
func TestTenantThatNeverAnswersHoldsItsShareOfSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.tenants = 2
		s.Concurrency, s.slots, s.room.size = 16, newSlots(16, others), 1000
		answer := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if j.Tenant == "silent" {
				if err := beforeSend(); err != nil {
					return Reply{}, err
				}
				<-ctx.Done()
				return Reply{}, ctx.Err()
			}
			return answer(ctx, j, beforeSend)
		}
		stop := s.start(t)
		for i := range 3 * s.Concurrency {
			s.deliver <- s.job(fmt.Sprintf(`{"wcId":"s%d","tenant":"silent"}`, i))
		}
		time.Sleep(10 * time.Second)
		s.mustServe(t)
		stop()
	})
}

// While all fails jobs are taken one by one, to see when it works again.
func TestTakesFewJobsWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.Concurrency, s.slots, s.room.size = 64, newSlots(64, alone), 1000
		s.deliver = make(chan *job.Delivery, 1000)
		var down atomic.Bool
		down.Store(true)
		s.begin = func(Ask) (Answer, error) {
			if down.Load() {
				return Answer{}, errors.New("connection refused")
			}
			return Answer{State: Granted, Now: time.Now()}, nil
		}
		stop := s.start(t)
		s.send("first")
		time.Sleep(2 * time.Second)
		for i := range 500 {
			s.send(fmt.Sprint(i))
		}
		time.Sleep(10 * time.Second)
		if taken := 500 - len(s.deliver); taken > 90 {
			t.Errorf("%d jobs were taken within 10 s", taken)
		}
		down.Store(false)
		time.Sleep(30 * time.Second)
		if got := s.succeeded(); len(got) != 501 {
			t.Errorf("%d of 501 ended", len(got))
		}
		stop()
	})
}

func TestUnsendableEventIsShortenedStepByStep(t *testing.T) {
	var sent []string
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.login = func(_ context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			return Reply{Outcome: job.Succeeded, Login: &job.Login{WID: "w1", NickName: "n", Token: "t", Data: "d"}}, beforeSend()
		}
		s.publish = func(e *job.Event) error {
			sent = append(sent, fmt.Sprintf("%s%s%s%d", e.Login.Token, e.Login.Data, e.Login.NickName, len(e.Labels)))
			if len(e.Labels) > 0 {
				return fmt.Errorf("publish event: %w", job.ErrUnsendable)
			}
			return nil
		}
	}, `{"wcId":"a","id":"j","labels":{"k":"v"}}`,
		"begin:granted login finish:succeeded publish:succeeded publish:succeeded publish:succeeded publish:succeeded ack shrink")
	if want := []string{"tdn1", "n1", "1", "0"}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
	if e := s.events[0]; e.Login.WID != "w1" || !strings.Contains(e.Message, "left out") {
		t.Errorf("event %+v", e)
	}
}

func TestUnburiableStaysInTheQueue(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		s.publish = func(*job.Event) error { return job.ErrUnsendable }
		s.bury = job.ErrUnburiable
	}, plain, "begin:granted login finish:succeeded publish:succeeded bury snooze back")
}

// The same id is welcome again once the job is mended: its event is another one. A copy of
// the message that was wrong is the same job.
func TestMendedJobHasAnEventOfItsOwn(t *testing.T) {
	const wrong = `{"wcId":"a","id":"j","type":"x"}`
	first := run(t, nil, wrong, "finish:invalid publish:invalid bury term")
	again := run(t, func(_ *stage, d *job.Delivery) { d.Sequence = 2 }, wrong, "finish:invalid publish:invalid bury term")
	mended := run(t, func(_ *stage, d *job.Delivery) { d.Sequence = 3 }, plain, "begin:granted login finish:succeeded publish:succeeded ack shrink")
	if first.events[0].ID != again.events[0].ID {
		t.Error("a copy of the message has an event of its own")
	}
	if first.events[0].ID == mended.events[0].ID {
		t.Error("the mended job has the event of the wrong one")
	}
	if mended.events[0].ID != (&job.Job{WcID: "a", ID: "j"}).EventID() {
		t.Errorf("the mended job's event has the id %s", mended.events[0].ID)
	}
}

// A stream that was made anew gives out its first number again.
func TestJobsOfAStreamThatWasMadeAnew(t *testing.T) {
	var asked []Ask
	ask := func(stored time.Time) *stage {
		return run(t, func(s *stage, d *job.Delivery) {
			d.StoredAt = stored
			s.begin = func(a Ask) (Answer, error) {
				asked = append(asked, a)
				return Answer{State: Granted, Now: time.Now()}, nil
			}
		}, `{"wcId":"a"}`, "begin:granted login finish:succeeded publish:succeeded ack shrink")
	}
	first, second := ask(noon), ask(noon.Add(time.Hour))
	if asked[0].JobID == asked[1].JobID || first.events[0].ID == second.events[0].ID {
		t.Errorf("%q and %q are one job", asked[0].JobID, asked[1].JobID)
	}
	for _, s := range []*stage{first, second} {
		if id := s.events[0].JobID; id != "JOBS-1" {
			t.Errorf("its id is %q", id)
		}
	}
}

// A redelivery of such a job, and those that share its confirmation, know it by its id.
func TestSharedWithAJobWithoutAnIDOfItsOwn(t *testing.T) {
	by := "JOBS-1\x00abc"
	shared := Answer{State: Shared, By: by, Token: "T", Result: &job.Result{Outcome: job.Succeeded, FinishedAt: noon}}
	s := run(t, func(s *stage, _ *job.Delivery) { s.begin = answers(shared) }, plain, "begin:shared finish:succeeded publish:succeeded ack shrink")
	if got := s.events[0].SharedWith; got != "JOBS-1" {
		t.Errorf("shared with %q", got)
	}
}

// What the store proves need not be looked for, however long the job has waited.
func TestNoLookWhereTheStoreProvesThatItIsTheFirst(t *testing.T) {
	slow := func(s *stage, _ *job.Delivery) {
		s.first = true
		s.login = func(_ context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
			err := beforeSend()
			time.Sleep(4 * time.Minute)
			return Reply{Outcome: job.Succeeded, Login: &job.Login{WID: "w1"}}, err
		}
	}
	run(t, slow, plain, "begin:granted login finish:succeeded publish:succeeded ack shrink")
	run(t, func(s *stage, d *job.Delivery) { slow(s, d); d.Attempts = 2 }, plain,
		"begin:granted published? login finish:succeeded publish:succeeded ack shrink")
	shared := Answer{State: Shared, By: "other", Token: "T", Result: &job.Result{Outcome: job.Succeeded, FinishedAt: noon}}
	held := Answer{State: Held, Wait: 3 * time.Minute}
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.first = true
		s.begin = answers(held, held, shared)
	}, plain, "begin:held begin:held begin:shared finish:succeeded publish:succeeded ack shrink unwatch")
	if s.conclusion.SoleUntil.IsZero() {
		t.Error("the store was not told until when this delivery was the only one")
	}
	shared.ConcludedBefore = true
	run(t, func(s *stage, _ *job.Delivery) {
		s.first = true
		s.begin = answers(shared)
	}, plain, "begin:shared finish:succeeded published? publish:succeeded ack shrink")
}

// The deadline of a job passes while its own prompt may be open: it looks what became of that
// as often as before, and does not go round and round.
func TestDeadlinePassesInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var asks int
		s.begin = func(Ask) (Answer, error) {
			asks++
			if asks == 100 {
				return Answer{State: Done, Now: time.Now(), Result: &job.Result{Outcome: job.Unknown, FinishedAt: noon}}, nil
			}
			return Answer{State: Held, Own: true, Token: "T", Wait: time.Minute, Now: time.Now()}, nil
		}
		s.online = func() (*job.Login, error) { return nil, errors.New("time-out") }
		d := s.job(`{"wcId":"a","id":"j","deadline":"2000-01-01T00:00:01Z"}`)
		d.Attempts = 2
		s.slots.tryAcquire(job.Normal, nobody, 1)
		began := time.Now()
		s.process(during(t.Context()), d)
		if took := time.Since(began); took < time.Minute {
			t.Errorf("it asked %d times within %v", asks, took)
		}
	})
}

// Another delivery has shared a result, and its event is not stored yet: it gets a while.
func TestDeliveryThatConcludedGetsTimeToPublish(t *testing.T) {
	concluded := func(s *stage, _ *job.Delivery) { s.begin = answers(Answer{State: Granted, ConcludedBefore: true}) }
	s := play(t, func(s *stage, d *job.Delivery) {
		concluded(s, d)
		time.AfterFunc(10*time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.published = true
		})
	}, plain)
	if got := s.happened(); strings.Contains(got, "login") || !strings.HasSuffix(got, "release ack") {
		t.Errorf("happened: %s", got)
	}
	s = play(t, concluded, plain)
	if got := s.happened(); strings.Count(got, "login") != 1 || !strings.HasSuffix(got, "ack shrink") {
		t.Errorf("happened: %s", got)
	}
}
