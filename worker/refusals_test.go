package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/relogin/relogin/worker/job"
)

var errForbidden = fmt.Errorf("%w: HTTP 403", ErrRefused)

func TestRefusedGoesOnWhenTheCredentialChanges(t *testing.T) {
	run(t, func(s *stage, _ *job.Delivery) {
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if !s.changed.Load() {
				return Reply{}, errForbidden
			}
			return ok(ctx, j, beforeSend)
		}
		time.AfterFunc(time.Second, func() {
			s.changed.Store(true)
			s.refusals.review(s.gateway.Access)
		})
	}, plain, "begin:granted login release begin:granted login finish:succeeded publish:succeeded ack shrink")
}

func TestRefusedUntilTheDeadlineIsUnauthorized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		start := time.Now()
		s.begin = func(Ask) (Answer, error) {
			if time.Since(start) >= 10*time.Minute {
				return Answer{State: TooLate, Now: time.Now()}, nil
			}
			return Answer{State: Granted, Now: time.Now()}, nil
		}
		s.login = func(context.Context, *job.Job, func() error) (Reply, error) { return Reply{}, errForbidden }
		s.slots.tryAcquire(job.Normal, nobody, 1)
		s.process(during(t.Context()), s.job(`{"wcId":"a","id":"j","deadline":"2000-01-01T00:10:00Z"}`))
		if len(s.events) != 1 || s.events[0].Outcome != job.Unauthorized {
			t.Fatalf("events %+v", s.events)
		}
		if calls := strings.Count(s.happened(), "login"); calls < 3 || calls > 20 {
			t.Errorf("%d calls in ten minutes, want a few, with pauses that grow", calls)
		}
	})
}

// A job that was too late anyway is not about the credential.
func TestTooLateWhileItsTenantIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour) // jobs have no deadlines before the year in which the bubble begins
		s, _ := refusing(func(string) bool { return true })
		stop := s.start(t)
		defer stop()
		s.send("bad-1", "bad-2", "bad-3")
		time.Sleep(time.Second)
		if refused, _ := s.RefusedTenants(); len(refused) != 1 {
			t.Fatalf("the tenant is not paused: %v", refused)
		}
		synctest.Wait()
		s.begin = func(Ask) (Answer, error) { return Answer{State: TooLate, Now: time.Now()}, nil }
		now := time.Now()
		for id, one := range map[string]struct {
			stored, deadline time.Duration
			want             job.Outcome
		}{
			"late before it came":      {0, -time.Hour, job.Expired},
			"late before the pause":    {-time.Hour, -time.Minute, job.Expired},
			"late during the pause":    {-time.Hour, 0, job.Unauthorized},
			"too little left":          {-time.Hour, 10 * time.Second, job.Unauthorized},
			"stored during the pause":  {0, 10 * time.Second, job.Unauthorized},
			"late, stored when paused": {0, -time.Millisecond, job.Expired},
		} {
			d := s.job(fmt.Sprintf(`{"wcId":"a","id":%q,"deadline":%q}`, id, now.Add(one.deadline).Format(time.RFC3339Nano)))
			d.StoredAt = now.Add(one.stored)
			before := len(s.stored())
			s.deliver <- d
			synctest.Wait()
			if len(s.stored()) != before+1 || s.stored()[before].Outcome != one.want {
				t.Errorf("%s: %+v, want %s", id, s.stored()[before:], one.want)
			}
		}
	})
}

// refusing is a stage whose gateway refuses the calls for some accounts.
func refusing(refused func(wcID string) bool) (*stage, *sync.Map) {
	s, asked := newStage(), &sync.Map{}
	s.Concurrency, s.slots, s.room.size = 64, newSlots(64, alone), 1000
	ok := s.login
	s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
		n, _ := asked.LoadOrStore(j.WcID, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if refused(j.WcID) {
			return Reply{}, errForbidden
		}
		return ok(ctx, j, beforeSend)
	}
	return s, asked
}

func calls(asked *sync.Map) (n int) {
	asked.Range(func(_, count any) bool { n += int(count.(*atomic.Int64).Load()); return true })
	return n
}

// start runs the worker until stop is called.
func (s *stage) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx) // it always returns nil
	}()
	return func() { cancel(); <-done }
}

func (s *stage) send(accounts ...string) {
	for _, wcID := range accounts {
		s.deliver <- s.job(fmt.Sprintf(`{"wcId":%q,"id":"j"}`, wcID))
	}
}

func (s *stage) succeeded() (accounts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Outcome == job.Succeeded {
			accounts = append(accounts, e.WcID)
		}
	}
	slices.Sort(accounts)
	return accounts
}

func TestOneRefusedAccountDoesNotPauseItsTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := refusing(func(wcID string) bool { return strings.HasPrefix(wcID, "bad") })
		stop := s.start(t)
		for i := range 10 {
			s.send("bad-1", "bad-2", fmt.Sprintf("good-%d", i))
			time.Sleep(time.Second)
		}
		if got := s.succeeded(); len(got) != 10 {
			t.Errorf("ended well: %v", got)
		}
		if paused, _ := s.RefusedTenants(); len(paused) > 0 {
			t.Errorf("paused: %v", paused)
		}
		stop()
	})
}

// Ten accounts are refused for reasons of their own: the others of their tenant wait for a
// moment at the most, and not again once it is known that it is not the credential.
func TestTenRefusedAccountsHardlyDelayTheirNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := refusing(func(wcID string) bool { return strings.HasPrefix(wcID, "bad") })
		s.room.size = 100_000
		stop := s.start(t)
		var longest time.Duration
		for i := range 120 {
			for n := range 10 {
				s.send(fmt.Sprintf("bad-%d", n))
			}
			time.Sleep(100 * time.Millisecond)
			began := time.Now()
			s.send(fmt.Sprintf("good-%d", i))
			for len(s.succeeded()) < i+1 && time.Since(began) < 5*time.Minute {
				time.Sleep(10 * time.Millisecond)
			}
			took := time.Since(began)
			longest = max(longest, took)
			if i > 5 && took > 10*time.Millisecond {
				t.Errorf("job %d took %v though it was known which accounts are refused", i, took)
			}
			time.Sleep(900 * time.Millisecond)
		}
		if longest > 3*time.Second {
			t.Errorf("a job took %v", longest)
		}
		stop()
	})
}

// A refusal comes at once, and a person takes a minute: a call that is still open shows that the
// credential is accepted, and the tenant's other jobs don't wait for that person.
func TestOpenCallShowsThatTheCredentialIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, asked := refusing(func(wcID string) bool { return strings.HasPrefix(wcID, "bad") })
		ok := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			reply, err := ok(ctx, j, beforeSend)
			if err == nil {
				time.Sleep(time.Minute)
			}
			return reply, err
		}
		stop := s.start(t)
		s.send("bad-1", "bad-2", "bad-3")
		time.Sleep(10 * time.Millisecond)
		if paused, _ := s.RefusedTenants(); len(paused) != 1 {
			t.Fatalf("paused: %v", paused)
		}
		for i := range 20 {
			s.send(fmt.Sprintf("good-%d", i))
		}
		time.Sleep(3 * time.Second)
		for i := range 20 {
			if _, ok := asked.Load(fmt.Sprintf("good-%d", i)); !ok {
				t.Errorf("account %d was not asked within 3 s", i)
			}
		}
		stop()
	})
}

// A gateway that takes long to refuse a credential is not taken for one that accepts it.
func TestSlowRefusalsPauseTheTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, asked := refusing(func(string) bool { return true })
		refuse := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if err := beforeSend(); err != nil {
				return Reply{}, err
			}
			time.Sleep(5 * time.Second)
			return refuse(ctx, j, beforeSend)
		}
		stop := s.start(t)
		s.send("a", "b", "c")
		time.Sleep(10 * time.Second)
		for i := range 50 {
			s.send(fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		if n := calls(asked); n > 3+9+6 {
			t.Errorf("%d calls within a minute of a paused tenant", n)
		}
		stop()
	})
}

func TestRefusedAccountsInARowPauseTheTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		revoked.Store(true)
		s, asked := refusing(func(string) bool { return revoked.Load() })
		stop := s.start(t)
		s.send("a", "b", "c")
		time.Sleep(100 * time.Millisecond)
		for i := range 20 {
			s.send(fmt.Sprint(i))
		}
		time.Sleep(10 * time.Minute)
		paused, otherwise := s.RefusedTenants()
		if len(paused) != 1 || paused[0].Tenant != "default" || !errors.Is(paused[0].Err, ErrRefused) || otherwise {
			t.Fatalf("paused: %+v, otherwise %v", paused, otherwise)
		}
		if n := calls(asked); n < 3+9+12 || n > 3+9+16 {
			t.Errorf("%d calls in ten minutes, want 3, 9 soon after, then single ones and in the end one a minute", n)
		}
		if n := testutil.ToFloat64(s.Metrics.tenantRefused.WithLabelValues("default")); n != 1 {
			t.Errorf("the metric says %v", n)
		}
		revoked.Store(false)
		time.Sleep(61 * time.Second)
		if got := s.succeeded(); len(got) != 23 {
			t.Errorf("%d of 23 jobs ended once the credential worked again", len(got))
		}
		if paused, _ := s.RefusedTenants(); len(paused) > 0 {
			t.Errorf("paused still: %v", paused)
		}
		stop()
	})
}

func TestPausedTenantGoesOnWhenTheCredentialChanges(t *testing.T) {
	for about, pauses := range map[string]SharedRefusals{"NATS answers": ownRefusals{}, "NATS is away": away{}} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := refusing(func(string) bool { return false })
				s.refusals.shared = pauses
				ok := s.login
				s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
					if !s.changed.Load() {
						return Reply{}, errForbidden
					}
					return ok(ctx, j, beforeSend)
				}
				stop := s.start(t)
				s.send("a", "b", "c", "d", "e")
				time.Sleep(10 * time.Second)
				s.changed.Store(true)
				time.Sleep(2 * time.Second)
				if got := s.succeeded(); len(got) != 5 {
					t.Errorf("ended %v", got)
				}
				stop()
			})
		})
	}
}

// away is where pods share their pauses while it does not answer.
type away struct{}

func (away) UpdateRefusals(ctx context.Context, _ func(map[job.Credential]uint64)) (bool, error) {
	<-ctx.Done()
	return false, context.Cause(ctx)
}

// board is where the pods of a test share their pauses.
type board struct {
	mu       sync.Mutex
	trials   map[job.Credential]uint64
	revision uint64
}

func (b *board) UpdateRefusals(_ context.Context, change func(map[job.Credential]uint64)) (bool, error) {
	b.mu.Lock()
	trials, revision := maps.Clone(b.trials), b.revision
	b.mu.Unlock()
	change(trials)
	b.mu.Lock()
	defer b.mu.Unlock()
	if revision != b.revision {
		return false, nil
	}
	b.trials, b.revision = trials, revision+1
	return true, nil
}

func TestPodsShareRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &board{trials: map[job.Credential]uint64{}}
		var revoked atomic.Bool
		revoked.Store(true)
		var pods []*stage
		var counts []*sync.Map
		var stops []func()
		for range 3 {
			s, asked := refusing(func(string) bool { return revoked.Load() })
			s.refusals.shared = shared
			pods, counts, stops = append(pods, s), append(counts, asked), append(stops, s.start(t))
		}
		pods[0].send("a", "b", "c")
		time.Sleep(10 * time.Second)
		for i, s := range pods {
			s.send(fmt.Sprintf("x-%d", i), fmt.Sprintf("y-%d", i))
		}
		time.Sleep(10 * time.Minute)
		total := 0
		for _, asked := range counts {
			total += calls(asked)
		}
		if total < 3+6+9 || total > 3+9+16 {
			t.Errorf("%d calls of three pods in ten minutes, want as many as of one", total)
		}
		revoked.Store(false)
		time.Sleep(70 * time.Second)
		for i, s := range pods {
			if got := s.succeeded(); len(got) < 2 {
				t.Errorf("pod %d ended %v once the credential worked again", i, got)
			}
		}
		for _, stop := range stops {
			stop()
		}
		if len(shared.trials) != 0 {
			t.Errorf("left: %v", shared.trials)
		}
	})
}

// Many jobs of one account that is refused do not take all trials.
func TestFloodOfOneRefusedAccountLeavesTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := refusing(func(wcID string) bool { return strings.HasPrefix(wcID, "bad") })
		s.room.size = 100_000
		stop := s.start(t)
		s.send("bad-1", "bad-2", "bad-3")
		time.Sleep(10 * time.Millisecond)
		for range 500 {
			s.send("bad-4")
		}
		s.send("good")
		time.Sleep(3 * time.Second)
		if len(s.succeeded()) != 1 {
			t.Error("the good account waits")
		}
		stop()
	})
}

// A job that may try, and finds its account held, lets another one try.
func TestTrialIsReturnedByAJobThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := refusing(func(wcID string) bool { return strings.HasPrefix(wcID, "bad") })
		s.room.size = 100_000
		start := time.Now()
		s.begin = func(a Ask) (Answer, error) {
			if strings.HasPrefix(a.WcID, "hot") && time.Since(start) > 200*time.Millisecond { // by another tenant's job
				return Answer{State: Held, Now: time.Now(), Wait: 5 * time.Minute, By: "x"}, nil
			}
			return Answer{State: Granted, Now: time.Now(), Token: a.Token}, nil
		}
		stop := s.start(t)
		s.send("bad-1", "bad-2", "bad-3")
		time.Sleep(10 * time.Millisecond)
		for i := range 200 {
			s.send(fmt.Sprint("hot-", i))
		}
		s.send("good")
		for len(s.succeeded()) < 1 && time.Since(start) < time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the good account's job took %v", took)
		}
		stop()
	})
}

// A pod that has lifted a pause before it told anybody of it knows nothing better a day later.
func TestPodDoesNotLiftWhatItHasNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		access := func(string) (Access, error) { return Access{"http://gw", "f"}, nil }
		shared := &board{trials: map[job.Credential]uint64{}}
		a, b := newStage().refusals, newStage().refusals
		a.shared, b.shared = shared, shared
		refuse := func(r *refusals) {
			for i := range 3 {
				r.add(job.Credential{Tenant: "t", Fingerprint: "f"}, fmt.Sprint(i), 1, errForbidden)
			}
		}
		refuse(a)
		a.accept(job.Credential{Tenant: "t", Fingerprint: "f"}, "x")
		share := func(r *refusals) {
			if err := r.share(t.Context(), access); err != nil {
				t.Error(err)
			}
		}
		share(a)
		time.Sleep(24 * time.Hour)
		refuse(b)
		share(b)
		share(a)
		share(b)
		if refused := b.tenants["t"]; refused == nil || !refused.paused {
			t.Error("lifted by a pod that has heard nothing for a day")
		}
	})
}

// The gateway refuses the credential from before, late: the present one stays paused.
func TestLateRefusalOfAnEarlierCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := refusing(func(wcID string) bool { return true })
		refuse := s.login
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if err := beforeSend(); err != nil {
				return Reply{}, err
			}
			if j.WcID == "late" && !s.changed.Load() {
				time.Sleep(10 * time.Second)
			}
			return refuse(ctx, j, beforeSend)
		}
		stop := s.start(t)
		s.send("late")
		time.Sleep(time.Second)
		s.changed.Store(true)
		s.send("a", "b", "c")
		time.Sleep(20 * time.Second)
		if paused, _ := s.RefusedTenants(); len(paused) != 1 || time.Since(paused[0].Since) < 15*time.Second {
			t.Errorf("paused: %+v", paused)
		}
		stop()
	})
}

// The gateway takes longer to refuse than before: that is not taken for its consent.
func TestGatewayThatGetsSlowerIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, asked := refusing(func(wcID string) bool { return true })
		refuse := s.login
		var slow atomic.Bool
		s.login = func(ctx context.Context, j *job.Job, beforeSend func() error) (Reply, error) {
			if err := beforeSend(); err != nil {
				return Reply{}, err
			}
			if slow.Load() {
				time.Sleep(1500 * time.Millisecond)
			}
			return refuse(ctx, j, beforeSend)
		}
		stop := s.start(t)
		s.send("a", "b", "c")
		time.Sleep(10 * time.Millisecond)
		slow.Store(true)
		for i := range 60 {
			s.send(fmt.Sprint(i))
		}
		time.Sleep(10 * time.Second)
		if n := calls(asked); n > 3+9+16 {
			t.Errorf("%d calls within ten seconds", n)
		}
		stop()
	})
}
