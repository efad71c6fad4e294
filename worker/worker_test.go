package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/relogin/relogin/worker/job"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// stage is a pipeline among fakes; history is what they were asked, in order.
type stage struct {
	*Worker
	mu      sync.Mutex
	history []string
	events  []*job.Event
	wakes   map[string]func()
	deliver chan *job.Delivery

	begin      func(Ask) (Answer, error)
	finish     func(Conclusion) (job.Result, error)
	login      func(context.Context, *job.Job, func() error) (Reply, error)
	online     func() (*job.Login, error)
	publish    func(*job.Event) error
	reserve    func() time.Duration
	published  bool
	waited     bool
	first      bool // Finish says so
	bury       error
	snoozed    int
	tenants    int
	takeEnds   time.Duration // how long Take goes on when its context has ended
	changed    atomic.Bool   // the credential
	access     error
	conclusion Conclusion
}

func newStage() *stage {
	s := &stage{wakes: map[string]func(){}, deliver: make(chan *job.Delivery, 100), tenants: 1}
	s.begin = func(a Ask) (Answer, error) { return Answer{State: Granted, Now: time.Now(), Token: a.Token}, nil }
	s.finish = func(c Conclusion) (job.Result, error) { return c.Result, nil }
	s.login = func(_ context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
		if err := beforeSend(); err != nil {
			return Reply{}, err
		}
		return Reply{Outcome: job.Succeeded, Code: "1000", Login: &job.Login{WcID: j.WcID, WID: "w1"}}, nil
	}
	s.online = func() (*job.Login, error) { return nil, ErrNoList }
	s.publish = func(*job.Event) error { return nil }
	var err error
	s.Worker, err = New(s, s, s, Options{
		Pod: "pod", Concurrency: 8, MaxParked: 9, MaxDeliveries: 5,
		SendWindow: 2 * time.Second, ConfirmTimeout: 5 * time.Minute, Cooldown: time.Minute, ShutdownGrace: time.Minute, DedupWindow: time.Minute,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		panic(err)
	}
	return s
}

func (s *stage) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, fmt.Sprintf(format, args...))
}

func (s *stage) happened() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.history, " ")
}

func (s *stage) Begin(_ context.Context, a Ask) (Answer, error) {
	answer, err := s.begin(a)
	s.note("begin:%s", answer.State)
	return answer, err
}

func (s *stage) Finish(_ context.Context, c Conclusion) (Finished, error) {
	s.note("finish:%s", c.Result.Outcome)
	s.mu.Lock()
	s.conclusion = c
	s.mu.Unlock()
	r, err := s.finish(c)
	return Finished{Result: r, First: s.first, ConcludedBefore: !r.FinishedAt.Equal(c.Result.FinishedAt)}, err
}
func (s *stage) Release(context.Context, Ask) (bool, error)           { s.note("release"); return s.waited, nil }
func (s *stage) Freed(string)                                         { s.note("freed") }
func (s *stage) Shrink(string, string)                                { s.note("shrink") }
func (s *stage) Snooze(string, string)                                { s.note("snooze") }
func (s *stage) Snoozed(context.Context, string, string) (int, error) { return s.snoozed, nil }

func (s *stage) Reserve(_ context.Context, _ string, ahead time.Duration) (time.Duration, bool, error) {
	if s.reserve == nil {
		return 0, true, nil
	}
	wait := s.reserve()
	return wait, wait <= ahead, nil
}

func (s *stage) Take(ctx context.Context, lane job.Lane, n int, wait time.Duration) ([]*job.Delivery, int, error) {
	var jobs chan *job.Delivery
	if lane == job.Normal {
		jobs = s.deliver
	}
	select {
	case d := <-jobs:
		return []*job.Delivery{d}, len(jobs), nil
	case <-time.After(wait):
	case <-ctx.Done():
		if s.takeEnds > 0 {
			time.Sleep(s.takeEnds)
			s.note("taken")
		}
	}
	return nil, 0, nil
}

func (s *stage) Publish(_ context.Context, e *job.Event) error {
	s.note("publish:%s", e.Outcome)
	if err := s.publish(e); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return nil
}

func (s *stage) Published(context.Context, string, string, time.Time) (bool, error) {
	s.note("published?")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published, nil
}
func (s *stage) LastWID(context.Context, string) (string, error)   { return "w0", nil }
func (s *stage) Bury(context.Context, *job.Delivery, string) error { s.note("bury"); return s.bury }
func (s *stage) Access(string) (Access, error) {
	return Access{"http://gw", fmt.Sprint(s.changed.Load())}, s.access
}
func (s *stage) Tenants() int        { return s.tenants }
func (s *stage) Addresses() []string { return []string{"http://gw"} }
func (s *stage) Online(context.Context, string, string, time.Time) (*job.Login, error) {
	return s.online()
}

func (s *stage) Watch(_ context.Context, wcID string, wake, freed func()) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakes[wcID], s.wakes["freed "+wcID] = wake, freed
	return func() { s.note("unwatch") }, nil
}

// stored returns the events so far.
func (s *stage) stored() []*job.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *stage) wakeUp(wcID string) {
	s.mu.Lock()
	wake := s.wakes[wcID]
	s.mu.Unlock()
	wake()
}

func (s *stage) SecondLogin(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
	s.note("login")
	return s.login(ctx, j, beforeSend)
}
func (s *stage) Ack()                         { s.note("ack") }
func (s *stage) Term()                        { s.note("term") }
func (s *stage) HandBack(after time.Duration) { s.note("back") }

func (s *stage) job(body string) *job.Delivery {
	return &job.Delivery{Lane: job.Normal, Data: []byte(body), Stream: "JOBS", Sequence: 1, StoredAt: time.Now(), Attempts: 1, Settler: s}
}

// run takes one delivery through its life, and holds what happens.
func run(t *testing.T, set func(*stage, *job.Delivery), body, want string) *stage {
	t.Helper()
	s := play(t, set, body)
	if got := s.happened(); got != want {
		t.Errorf("happened:\n%s\nwant:\n%s", got, want)
	}
	return s
}

// play takes one delivery through its life in a bubble of fake time.
func play(t *testing.T, set func(*stage, *job.Delivery), body string) *stage {
	t.Helper()
	s := newStage()
	synctest.Test(t, func(t *testing.T) {
		s = newStage()
		d := s.job(body)
		if set != nil {
			set(s, d)
		}
		s.slots.tryAcquire(job.Normal, nobody, 1)
		s.process(during(t.Context()), d)
		if s.slots.lanes[job.Normal].used != 0 || len(s.room.jobs) != 0 || len(s.room.tenants) != 0 || len(s.room.accounts) != 0 || len(s.waiters.accounts) != 0 {
			t.Errorf("left behind: %d slots, %d parked, %d accounts", s.slots.lanes[job.Normal].used, len(s.room.jobs), len(s.waiters.accounts))
		}
	})
	return s
}

// answers returns a begin that gives these states in turn.
func answers(states ...Answer) func(Ask) (Answer, error) {
	var mu sync.Mutex
	return func(Ask) (Answer, error) {
		mu.Lock()
		defer mu.Unlock()
		a := states[0]
		if len(states) > 1 {
			states = states[1:]
		}
		a.Now = time.Now()
		return a, nil
	}
}

const plain = `{"wcId":"a","id":"j"}`

func TestStraightPath(t *testing.T) {
	s := run(t, nil, plain, "begin:granted login finish:succeeded publish:succeeded ack shrink")
	e := s.events[0]
	if e.JobID != "j" || e.WcID != "a" || !e.Prompted || e.Login.WID != "w1" || e.Worker != "pod" || e.Attempts != 1 || e.StartedAt.IsZero() {
		t.Errorf("event %+v", e)
	}
	if s.conclusion.Token == "" || s.conclusion.Keep {
		t.Errorf("conclusion %+v", s.conclusion)
	}
}

func TestDeclinedStartsTheCooldown(t *testing.T) {
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.login = func(_ context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
			return Reply{Outcome: job.Failed, Code: "1001"}, beforeSend()
		}
	}, plain, "begin:granted login finish:failed publish:failed ack shrink")
	if s.conclusion.Cooldown != time.Minute || !s.events[0].RetryAfter.Equal(s.events[0].FinishedAt.Add(time.Minute)) {
		t.Errorf("cool-down %v, retryAfter %v", s.conclusion.Cooldown, s.events[0].RetryAfter)
	}
}

func TestHeldParksAndShares(t *testing.T) {
	shared := Answer{State: Shared, By: "other", Result: &job.Result{Outcome: job.Succeeded, Prompted: true, FinishedAt: noon}}
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(Answer{State: Held, Wait: time.Minute}, Answer{State: Held, Wait: time.Minute}, shared)
		time.AfterFunc(time.Second, func() { s.wakeUp("a") })
	}, plain, "begin:held begin:held begin:shared finish:succeeded publish:succeeded ack shrink unwatch")
	if e := s.events[0]; e.SharedWith != "other" || e.Prompted {
		t.Errorf("event %+v", e)
	}
}

// Another pod let go of the account without an event.
func TestHeldWakesWhenFreed(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(Answer{State: Held, Wait: time.Hour}, Answer{State: Held, Wait: time.Hour}, Answer{State: Granted})
		time.AfterFunc(time.Second, func() { s.wakeUp("freed a") })
	}, plain, "begin:held begin:held begin:granted login finish:succeeded publish:succeeded ack shrink unwatch")
}

func TestHeldWakesAtTheLeasesEnd(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(Answer{State: Held, Wait: time.Minute}, Answer{State: Held, Wait: time.Minute}, Answer{State: Granted})
	}, plain, "begin:held begin:held begin:granted published? login finish:succeeded published? publish:succeeded ack shrink unwatch")
}

func TestAmbiguousWithoutAListIsUnknownAtOnce(t *testing.T) {
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(Answer{State: Granted}, Answer{State: Held, Own: true, Token: "T", Wait: time.Minute})
		s.login = reset
	}, plain, "begin:granted login begin:held finish:unknown publish:unknown ack shrink")
	if !s.conclusion.Keep || s.conclusion.Token != "T" || s.events[0].RetryAfter.IsZero() {
		t.Errorf("conclusion %+v", s.conclusion)
	}
}

func reset(_ context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
	return Reply{}, errors.Join(beforeSend(), errors.New("connection reset"))
}

func TestAmbiguousIsReconciled(t *testing.T) {
	looks := 0
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(Answer{State: Granted}, Answer{State: Held, Own: true, Token: "T", Wait: time.Minute})
		s.login = reset
		s.online = func() (*job.Login, error) {
			looks++
			switch looks {
			case 1:
				return nil, ErrNotOnline
			case 2: // that was there before
				return &job.Login{WcID: "a", WID: "w0"}, nil
			}
			return &job.Login{WcID: "a", WID: "w1"}, nil
		}
	}, plain, "begin:granted login begin:held begin:held begin:held finish:succeeded publish:succeeded ack shrink unwatch")
	if e := s.events[0]; !e.Reconciled || e.Login.WID != "w1" || !s.conclusion.Keep {
		t.Errorf("event %+v, conclusion %+v", e, s.conclusion)
	}
}

// The same id published twice: the first one's call is under way, and what the list
// shows may be a login from before it.
func TestDuplicateLeavesALivePromptAlone(t *testing.T) {
	own := Answer{State: Held, Own: true, Token: "T", Wait: time.Minute}
	run(t, func(s *stage, _ *job.Delivery) {
		s.begin = answers(own, own, Answer{State: Done, Result: &job.Result{Outcome: job.Succeeded, FinishedAt: noon}})
		s.online = func() (*job.Login, error) { return &job.Login{WcID: "a", WID: "old"}, nil }
		time.AfterFunc(time.Second, func() { s.wakeUp("a") })
	}, plain, "begin:held begin:held begin:done finish:succeeded published? publish:succeeded ack shrink unwatch")
}

func TestInDoubtNeverPromptsAgain(t *testing.T) {
	run(t, func(s *stage, d *job.Delivery) {
		d.Attempts = 2
		s.begin = answers(Answer{State: InDoubt, Token: "T"})
	}, plain, "begin:in_doubt finish:unknown published? publish:unknown ack shrink")
}

func TestNotStartedLetsGoAndTriesAgain(t *testing.T) {
	tries := 0
	run(t, func(s *stage, _ *job.Delivery) {
		s.waited = true
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if tries++; tries < 3 {
				return Reply{}, fmt.Errorf("dial: %w", ErrNotStarted)
			}
			return ok(ctx, j, beforeSend)
		}
	}, plain, "begin:granted login release freed begin:granted login release freed begin:granted login finish:succeeded publish:succeeded ack shrink")
}

// beforeSend said yes, and the connection broke before a byte was written.
func TestNotStartedAfterBeforeSend(t *testing.T) {
	tries := 0
	run(t, func(s *stage, _ *job.Delivery) {
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if tries++; tries == 1 {
				return Reply{}, errors.Join(beforeSend(), ErrNotStarted)
			}
			return ok(ctx, j, beforeSend)
		}
	}, plain, "begin:granted login release begin:granted login finish:succeeded publish:succeeded ack shrink")
}

func TestLateRequestIsNotSent(t *testing.T) {
	late := true
	run(t, func(s *stage, _ *job.Delivery) {
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if late {
				late = false
				time.Sleep(3 * time.Second)
			}
			return ok(ctx, j, beforeSend)
		}
	}, plain, "begin:granted login release begin:granted login finish:succeeded publish:succeeded ack shrink")
}

func TestEndsWithoutAPrompt(t *testing.T) {
	tests := map[string]struct {
		answer Answer
		want   string
	}{
		"too late": {Answer{State: TooLate}, "begin:too_late finish:expired publish:expired ack shrink"},
		"cooling":  {Answer{State: Cooling, RetryAt: noon}, "begin:cooling finish:throttled publish:throttled ack shrink"},
		"ended":    {Answer{State: Ended}, "begin:ended ack"},
		"done":     {Answer{State: Done, Result: &job.Result{Outcome: job.Failed, FinishedAt: noon}}, "begin:done finish:failed published? publish:failed ack shrink"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *stage, _ *job.Delivery) { s.begin = answers(test.answer) }, plain, test.want)
		})
	}
}

func TestRedeliveryWhoseEventIsStored(t *testing.T) {
	run(t, func(s *stage, d *job.Delivery) { d.Attempts, s.published = 2, true }, plain, "begin:granted published? release ack")
}

func TestEventOfAnotherDeliveryIsNotCounted(t *testing.T) {
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.published = true
		s.begin = answers(Answer{State: Done, Result: &job.Result{Outcome: job.Failed, FinishedAt: noon}})
	}, plain, "begin:done finish:failed published? ack shrink")
	if n := testutil.ToFloat64(s.Metrics.jobs.WithLabelValues(string(job.Failed))); n != 0 {
		t.Errorf("counted %v times", n)
	}
}

// Paused for so long that another delivery has ended the job, and its mark is gone.
func TestFirstDeliveryThatWasPaused(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		s.published = true
		begin := s.begin
		s.begin = func(a Ask) (Answer, error) {
			time.Sleep(time.Hour)
			return begin(a)
		}
	}, plain, "begin:granted published? release ack")
	run(t, func(s *stage, _ *job.Delivery) {
		s.published = true
		s.finish = func(c Conclusion) (job.Result, error) { return c.Result, ErrLeaseLost }
	}, plain, "begin:granted login finish:succeeded published? ack shrink")
	run(t, func(s *stage, _ *job.Delivery) {
		s.published = true
		s.login = func(_ context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
			err := beforeSend()
			time.Sleep(time.Hour) // meanwhile the lease ended, and the mark
			return Reply{}, errors.Join(err, errors.New("connection reset"))
		}
	}, plain, "begin:granted login begin:granted release finish:unknown published? ack shrink")
}

func TestInvalidGoesToTheDeadStreamAndIsTold(t *testing.T) {
	run(t, nil, `{"wcId":"a","type":"x"}`, "finish:invalid publish:invalid bury term")
	run(t, nil, `nonsense`, "bury term")
	run(t, func(s *stage, _ *job.Delivery) {
		s.finish = func(c Conclusion) (job.Result, error) { return c.Result, ErrSuperseded }
	}, `{"wcId":"a","id":"open","type":"x"}`, "finish:invalid bury term")
}

// A place that is far ahead is not taken, and a near one is waited for with the slot.
func TestRate(t *testing.T) {
	places := []time.Duration{time.Hour, 500 * time.Millisecond}
	run(t, func(s *stage, _ *job.Delivery) {
		s.reserve = func() time.Duration {
			place := places[0]
			places = places[1:]
			return place
		}
	}, plain, "begin:granted release begin:granted release begin:granted login finish:succeeded publish:succeeded ack shrink")
}

func TestUnknownTenant(t *testing.T) {
	s := run(t, func(s *stage, _ *job.Delivery) { s.access = fmt.Errorf("%w: %q", ErrUnknownTenant, "nobody") }, plain,
		"begin:granted release finish:invalid publish:invalid bury term")
	if !strings.Contains(s.events[0].Message, "nobody") {
		t.Errorf("message %q", s.events[0].Message)
	}
	j := &job.Job{WcID: s.events[0].WcID, ID: s.events[0].JobID}
	if got, want := s.events[0].ID, j.InvalidEventID([]byte(plain)); got != want {
		t.Errorf("event id %s, want %s", got, want)
	}
}

func TestDefectHandsTheJobBack(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		s.login = func(context.Context, *job.Job, func() error) (Reply, error) { panic("a defect") }
	}, plain, "begin:granted login back")
}

func TestDeliveredTooOften(t *testing.T) {
	often := func(_ *stage, d *job.Delivery) { d.Attempts = 6 }
	run(t, often, plain, "begin:granted release finish:unknown published? publish:unknown bury term shrink")
	run(t, func(s *stage, d *job.Delivery) { often(s, d); s.snoozed = 1 }, plain,
		"begin:granted published? login finish:succeeded published? publish:succeeded ack shrink")
}

func TestPublishIsRepeatedOnlyAfterALook(t *testing.T) {
	tries := 0
	run(t, func(s *stage, _ *job.Delivery) {
		s.publish = func(*job.Event) error {
			if tries++; tries == 1 {
				return errors.New("time-out")
			}
			return nil
		}
	}, plain, "begin:granted login finish:succeeded publish:succeeded published? publish:succeeded ack shrink")
}

func TestAnotherDeliverysResultCounts(t *testing.T) {
	s := run(t, func(s *stage, _ *job.Delivery) {
		s.finish = func(Conclusion) (job.Result, error) { return job.Result{Outcome: job.Unknown, FinishedAt: noon}, nil }
	}, plain, "begin:granted login finish:succeeded published? publish:unknown ack shrink")
	if s.events[0].Outcome != job.Unknown {
		t.Errorf("published %s", s.events[0].Outcome)
	}
}

func TestBeginInsists(t *testing.T) {
	tries := 0
	var tokens []string
	run(t, func(s *stage, _ *job.Delivery) {
		s.begin = func(a Ask) (Answer, error) {
			tokens = append(tokens, a.Token)
			if tries++; tries < 3 {
				return Answer{State: "lost"}, errors.New("connection refused")
			}
			return Answer{State: Granted, Now: time.Now()}, nil
		}
	}, plain, "begin:lost begin:lost begin:granted login finish:succeeded publish:succeeded ack shrink")
	first, _ := strings.CutSuffix(tokens[0], "#1")
	if tokens[1] != first+"#2" || tokens[2] != first+"#3" {
		t.Errorf("an ask must make void what the former may have been granted: %q", tokens)
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.begin = func(a Ask) (Answer, error) {
			if a.WcID == "free" {
				return Answer{State: Granted, Now: time.Now()}, nil
			}
			return Answer{State: Held, Wait: time.Hour, Now: time.Now()}, nil
		}
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			time.Sleep(30 * time.Second)
			return ok(ctx, j, beforeSend)
		}
		s.SendWindow = time.Minute
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		s.deliver <- s.job(`{"wcId":"free","id":"1"}`)
		s.deliver <- s.job(`{"wcId":"held","id":"2"}`)
		synctest.Wait()
		stop()
		synctest.Wait()
		if got := s.happened(); !strings.Contains(got, "snooze back") || strings.Contains(got, " ack") {
			t.Errorf("right after the stop: %s", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := s.happened(); !strings.HasSuffix(got, "finish:succeeded publish:succeeded ack shrink") {
			t.Errorf("at the end: %s", got)
		}
	})
}

func TestEndOfTheGraceCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.login = func(ctx context.Context, _ *job.Job, beforeSend func() error) (Reply, error) {
			err := beforeSend()
			<-ctx.Done()
			return Reply{}, errors.Join(err, ctx.Err())
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		s.deliver <- s.job(plain)
		synctest.Wait()
		stop()
		<-done
		if got := s.happened(); got != "begin:granted login snooze back" {
			t.Errorf("happened: %s", got)
		}
	})
}

func TestTooManyParkedGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.begin = answers(Answer{State: Held, Wait: time.Hour})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		for i := range 5 {
			s.deliver <- s.job(fmt.Sprintf(`{"wcId":"a","id":"%d"}`, i))
		}
		synctest.Wait()
		if got := strings.Count(s.happened(), "back"); got != 2 {
			t.Errorf("%d jobs went back, want the 2 beyond the 3 that may wait", got)
		}
		stop()
		<-done
	})
}

func TestBreakerStopsTaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var down atomic.Bool
		down.Store(true)
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if down.Load() {
				return Reply{}, ErrNotStarted
			}
			return ok(ctx, j, beforeSend)
		}
		s.MaxParked = 100
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		for i := range 20 {
			s.deliver <- s.job(fmt.Sprintf(`{"wcId":"%d"}`, i))
		}
		time.Sleep(firstRetry / 4) // taking pauses, and no job has tried again
		if logins := strings.Count(s.happened(), "login"); logins < breakerThreshold || logins > 20 {
			t.Errorf("%d calls", logins)
		}
		if d, err := s.GatewayDown(); d == 0 || !errors.Is(err, ErrNotStarted) {
			t.Errorf("the breaker is closed, or does not tell why it is open: %v", err)
		}
		down.Store(false)
		time.Sleep(time.Minute)
		if got := strings.Count(s.happened(), "ack"); got != 20 {
			t.Errorf("%d of 20 jobs ended once the gateway worked again", got)
		}
		stop()
		<-done
	})
}

// during is the life of a worker that is not told to stop.
func during(ctx context.Context) lifetime { return lifetime{waiting: ctx, calls: ctx, telling: ctx} }

func TestOptionsAreChecked(t *testing.T) {
	s := newStage()
	_, err := New(s, s, s, Options{Concurrency: -1, MaxParked: -1})
	for _, name := range []string{"Pod", "Concurrency", "MaxParked", "MaxDeliveries", "SendWindow", "ConfirmTimeout", "DedupWindow"} {
		if err == nil || !strings.Contains(err.Error(), name+" must be") {
			t.Errorf("%s is not named by: %v", name, err)
		}
	}
	o := s.Options
	o.Logger, o.Metrics = nil, nil
	if w, err := New(s, s, s, o); err != nil || w.Logger == nil || w.Metrics == nil {
		t.Errorf("without a logger and metrics: %v", err)
	}
}

// While a request for jobs stands, a job that is handed back would come to this pod again.
func TestStopTakesNoMoreBeforeItHandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.begin = answers(Answer{State: Held, Wait: time.Hour})
		s.takeEnds = time.Second
		stop := s.start(t)
		s.send("a")
		time.Sleep(takeMoreWait * 3 / 2) // both lanes' requests stand
		stop()
		if got := s.happened(); !strings.HasSuffix(got, "taken taken snooze back unwatch") {
			t.Errorf("happened: %s", got)
		}
	})
}
