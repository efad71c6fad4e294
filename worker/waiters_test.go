package worker

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/worker/job"
)

// watching returns waiters whose subscriptions stand at once.
func watching() *waiters {
	return &waiters{
		watch:    func(context.Context, string, func(), func()) (func(), error) { return func() {}, nil },
		accounts: map[string]*watchedAccount{},
	}
}

func (ws *waiters) ended()            { ws.accounts["a"].wake(true) }
func (ws *waiters) freed(wcID string) { ws.accounts[wcID].wake(false) }

func (ws *waiters) mustEnter(tb testing.TB, tenant string) *waiter {
	tb.Helper()
	w, err := ws.add(tb.Context(), "a", tenant)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// awake returns those of the waiters that were woken, and takes their wake-ups.
func awake(waiters ...*waiter) (numbers string) {
	for i, w := range waiters {
		select {
		case <-w.woke:
			numbers += fmt.Sprint(i)
		default:
		}
	}
	return numbers
}

// Waking all who wait for an account, and letting each leave, costs the same for each,
// however many they are. Where it does not this test does not end: with a cost that grew
// with their number, 131,072 of them took 72 s.
func TestLeavingTheLotIsLinear(t *testing.T) {
	ws := watching()
	all := make([]*waiter, 1<<19)
	for i := range all {
		all[i] = ws.mustEnter(t, "t")
	}
	ws.ended()
	all[0].ask()
	all[0].noteAnswer(Shared, sharedResult{"T", &job.Result{}})
	for _, w := range all {
		w.leave()
	}
	if len(ws.accounts) != 0 {
		t.Error("the account is watched still")
	}
}

func TestOneAsksBeforeTheOthers(t *testing.T) {
	ws := watching()
	first, second, third, other := ws.mustEnter(t, "t"), ws.mustEnter(t, "t"), ws.mustEnter(t, "t"), ws.mustEnter(t, "other")
	ws.ended()
	ws.ended() // again, or forged
	if got := awake(first, second, third, other); got != "03" {
		t.Fatalf("woken: %s, want one of each tenant", got)
	}
	if s := first.ask(); s.token != "" {
		t.Errorf("it knows %+v", s)
	}
	result := &job.Result{Outcome: job.Succeeded}
	first.noteAnswer(Shared, sharedResult{"T", result})
	if got := awake(first, second, third, other); got != "12" {
		t.Errorf("woken: %s, want the others of the tenant", got)
	}
	if s := second.ask(); s.token != "T" || s.result != result {
		t.Errorf("the second one does not know the result: %+v", s)
	}
	if s := other.ask(); s.token != "" {
		t.Errorf("another tenant's job is told %+v", s)
	}
}

func TestWhatHappensWhileTheLeaderAsksIsNotMissed(t *testing.T) {
	ws := watching()
	first, second := ws.mustEnter(t, "t"), ws.mustEnter(t, "t")
	ws.freed("a")
	if got := awake(first, second); got != "0" {
		t.Fatalf("woken: %s", got)
	}
	first.ask()
	ws.ended() // after Redis has answered, before the answer is here
	first.noteAnswer(Held, sharedResult{})
	if got := awake(first, second); got == "" {
		t.Error("nobody was woken by the end of the confirmation")
	}
}

// An answer that was on its way when the job was woken says nothing of what woke it: the job asks
// again, and still before the others.
func TestAnswerFromBeforeTheWakeUp(t *testing.T) {
	for _, state := range []State{Held, Suspended} {
		ws := watching()
		a, b := ws.mustEnter(t, "t"), ws.mustEnter(t, "t")
		a.ask()
		b.ask()
		ws.ended()
		a.noteAnswer(state, sharedResult{})
		b.noteAnswer(state, sharedResult{})
		if got := awake(a, b); got != "0" {
			t.Errorf("%s: woken by the end: %q, want the first", state, got)
		}
		a.ask()
		a.noteAnswer(Shared, sharedResult{"T", &job.Result{}})
		if got := awake(a, b); got != "1" {
			t.Errorf("%s: woken once the first knows the result: %q, want the second", state, got)
		}
	}
}

func TestLeaderWhoLeavesIsFollowed(t *testing.T) {
	ws := watching()
	first, second := ws.mustEnter(t, "t"), ws.mustEnter(t, "other")
	ws.freed("a")
	woken := []*waiter{first, second}
	got := awake(woken...)
	if len(got) != 1 {
		t.Fatalf("woken: %s, want one", got)
	}
	leader := int(got[0] - '0')
	woken[leader].leave()
	if got := awake(woken...); got != fmt.Sprint(1-leader) {
		t.Errorf("woken: %q, want the other one", got)
	}
}

// Somebody else can publish what wakes jobs: a flood of that wakes one at a time.
func TestFloodWakesOneAtATime(t *testing.T) {
	ws := watching()
	var all []*waiter
	for range 1000 {
		all = append(all, ws.mustEnter(t, "t"))
	}
	for range 10_000 {
		ws.ended()
		ws.freed("a")
	}
	if got := len(awake(all...)); got != 1 {
		t.Errorf("%d characters: more than one was woken", got)
	}
}

func emptyRoom(size int) *room {
	return newRoom(size, prometheus.NewGauge(prometheus.GaugeOpts{Name: "parked"}))
}

func TestNoTenantOrAccountFillsTheRoom(t *testing.T) {
	r := emptyRoom(1000)
	fill := func(tenant, account string) (n int) {
		for ; r.enter(&job.Job{Tenant: tenant, WcID: account}, false); n++ {
			if account == "" {
				account = "any"
			}
		}
		return n
	}
	if n := fill("hog", "hot"); n < 300 || n > 350 {
		t.Errorf("an account took %d of 1,000", n)
	}
	for i := range 2000 {
		r.enter(&job.Job{Tenant: "hog", WcID: fmt.Sprint(i)}, false)
	}
	if r.tenants["hog"] != 500 {
		t.Errorf("a tenant took %d of 1,000", r.tenants["hog"])
	}
	if n := fill("other", "b"); n < 150 {
		t.Errorf("another tenant's account found room for %d jobs", n)
	}
}

// Jobs that wait for a part of the store leave room for those that wait for a person, also
// within their tenant.
func TestFailingJobsLeaveRoom(t *testing.T) {
	r := emptyRoom(1000)
	enter := func(failing bool) (n int) {
		for i := 0; r.enter(&job.Job{Tenant: "t", WcID: fmt.Sprint(failing, i)}, failing); i++ {
			n++
		}
		return n
	}
	if failing, healthy := enter(true), enter(false); failing != 334 || healthy != 166 {
		t.Errorf("%d failing jobs had room, and then %d others, want 334 and 166", failing, healthy)
	}
}

// A tenant's jobs that wait for something that fails leave room for another tenant's.
func TestFailingRoomIsShared(t *testing.T) {
	r := emptyRoom(8192)
	for n := 0; r.enter(&job.Job{Tenant: "revoked", WcID: fmt.Sprint(n)}, true); n++ {
	}
	if !r.enter(&job.Job{Tenant: "other", WcID: "b"}, true) {
		t.Error("no room for another tenant")
	}
}

// A job that waited for Redis, and waits for a person then, counts as one that waits for a person.
func TestParkedJobChangesWhatItWaitsFor(t *testing.T) {
	s := newStage()
	task := s.newTask(s.job(plain))
	task.decode(during(t.Context()))
	for _, failing := range []bool{true, false, true, false} {
		task.park(failing)
		if got := s.room.failing[task.job.Tenant] == 1; got != failing {
			t.Errorf("waits for something that fails: %v, want %v", got, failing)
		}
	}
	task.w.room.leave(task.job)
	if len(s.room.failing) != 0 || len(s.room.jobs) != 0 {
		t.Errorf("left behind: %+v", s.room.failing)
	}
}
