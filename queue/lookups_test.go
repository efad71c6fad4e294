package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// advisories tells which consumers of the events stream were made, and how many were
// there at once at most.
type advisories struct {
	q   *Queue
	sub *nats.Subscription
	n   int
}

func watchConsumers(t *testing.T, nc *nats.Conn, q *Queue) *advisories {
	t.Helper()
	sub, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.*.RELOGIN_EVENTS.>")
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &advisories{q: q, sub: sub}
}

// created counts since the last call. A consumer of its own, made last, tells that all
// advisories before it have come.
func (a *advisories) created(t *testing.T) (created, atOnce int) {
	t.Helper()
	a.n++
	end := fmt.Sprintf("end-%d", a.n)
	if _, err := a.q.js.CreateConsumer(t.Context(), "RELOGIN_EVENTS", jetstream.ConsumerConfig{Name: end, InactiveThreshold: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for open := 0; ; {
		msg, err := a.sub.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasSuffix(msg.Subject, "."+end):
			return created, atOnce
		case strings.Contains(msg.Subject, ".CREATED."):
			created++
			open++
			atOnce = max(atOnce, open)
		default:
			open--
		}
	}
}

// exact is a configuration under which Published looks from exactly the given time.
func exact() Config {
	c := config()
	c.DuplicateWindow = 0
	return c
}

func lookUp(t *testing.T, q *Queue, wcID, id string, since time.Time, want bool) {
	t.Helper()
	if got, err := q.Published(t.Context(), wcID, id, since); err != nil || got != want {
		t.Errorf("Published(%q, %s) = %v, %v; want %v", wcID, id, got, err, want)
	}
}

// many runs n calls at once.
func many(n int, call func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { call(i) })
	}
	all.Wait()
}

// store publishes the event of a job of account a, and returns when it was stored.
func store(t *testing.T, q *Queue, id string) time.Time {
	t.Helper()
	if err := q.Publish(t.Context(), event("a", id, job.Failed)); err != nil {
		t.Fatal(err)
	}
	msg, err := q.events.GetLastMsgForSubject(t.Context(), q.names.accountEvents("a"))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Time
}

// n look-ups of an account with n events must not cost n consumers and n² reads.
func TestLookUpsOfAnAccountShareOneReading(t *testing.T) {
	const n = 4000
	url := servers.NATS(t)
	nc := connect(t, url)
	q := open(t, nc, config())
	start := time.Now()
	many(n, func(i int) {
		if err := q.Publish(t.Context(), event("a", fmt.Sprint(i), job.Failed)); err != nil {
			t.Error(err)
		}
	})
	seen := watchConsumers(t, connect(t, url), q)
	before := nc.Stats().InMsgs
	many(n, func(i int) { lookUp(t, q, "a", fmt.Sprint(i), start, true) })
	many(n, func(i int) { lookUp(t, q, "a", fmt.Sprint("none", i), start, false) })
	if delivered := nc.Stats().InMsgs - before; delivered > n+n/4 {
		t.Errorf("%d messages were delivered for %d look-ups of %d events", delivered, 2*n, n)
	}
	if created, _ := seen.created(t); created != 1 {
		t.Errorf("%d consumers were made, want 1", created)
	}
}

func TestLookUpsAroundAPublish(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	start := time.Now()
	for i := range 50 {
		id := fmt.Sprint(i)
		lookUp(t, q, "a", id, start, false)
		store(t, q, id)
		lookUp(t, q, "a", id, start, true)
	}
	lookUp(t, q, "a", "0", start, true)
}

// Look-ups that reach further back each time read the events again a few times only.
func TestLookUpsFromFurtherBack(t *testing.T) {
	const n = 300
	url := servers.NATS(t)
	q := open(t, connect(t, url), exact())
	var times [n]time.Time
	for i := range n {
		times[i] = store(t, q, fmt.Sprint(i))
	}
	seen := watchConsumers(t, connect(t, url), q)
	lookUp(t, q, "a", "none", times[n/2], false)
	lookUp(t, q, "a", fmt.Sprint(n/2-1), times[n/2-1], true)
	lookUp(t, q, "a", fmt.Sprint(n/2), times[n/2], true)
	if created, _ := seen.created(t); created != 2 {
		t.Errorf("%d consumers for two ranges", created)
	}
	for i := n - 1; i >= 0; i-- {
		lookUp(t, q, "b", "none", times[i], false) // has no events
		lookUp(t, q, "a", "none", times[i], false)
		lookUp(t, q, "a", fmt.Sprint(i), times[i], true)
	}
	// Each reading covers twice the age of the one before: a minute has 2^36 nanoseconds.
	if created, _ := seen.created(t); created > 36 {
		t.Errorf("%d consumers for %d ranges", created, n)
	}
}

// A job's id may be given again: the event of the first job is not the second one's.
func TestLookUpOfAnIDThatWasGivenAgain(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), exact())
	start := time.Now()
	store(t, q, "again")
	second := store(t, q, "other")
	lookUp(t, q, "a", "again", start, true)
	lookUp(t, q, "a", "again", second, false)
	lookUp(t, q, "a", "other", second, true)
}

func TestLookUpsOfManyAccountsAreBounded(t *testing.T) {
	const accounts = 200
	url := servers.NATS(t)
	q := open(t, connect(t, url), config())
	start := time.Now()
	for i := range accounts {
		for j := range 3 {
			if err := q.Publish(t.Context(), event(fmt.Sprint("a", i), fmt.Sprint(i, ".", j), job.Failed)); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := watchConsumers(t, connect(t, url), q)
	many(accounts, func(i int) { lookUp(t, q, fmt.Sprint("a", i), fmt.Sprint(i, ".", 0), start, true) })
	created, atOnce := seen.created(t)
	if created != accounts || atOnce > maxReadings {
		t.Errorf("%d consumers, %d at once; want %d, at most %d at once", created, atOnce, accounts, maxReadings)
	}
}

func TestLookUpEndsWithItsContext(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	start := time.Now()
	store(t, q, "0")
	store(t, q, "1")
	for range maxReadings { // others read
		q.lookups.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Go(func() {
		if _, err := q.Published(ctx, "a", "0", start); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	cancel()
	looking.Wait()
	for range maxReadings {
		<-q.lookups.slots
	}
	lookUp(t, q, "a", "0", start, true)
}

// A reading that fails is an error for those who waited for it, and for nobody else.
func TestLookUpAfterOneThatFailed(t *testing.T) {
	servers.SkipIfShort(t, "it waits for a time-out of up to ten seconds")
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	start := time.Now()
	store(t, q, "0")
	store(t, q, "1")
	lookUp(t, q, "a", "0", start, true)
	s.Stop()
	if _, err := q.Published(t.Context(), "a", "none", start); err == nil {
		t.Error("looked without a server")
	}
	s.Start()
	servers.Eventually(t, "the connection", func() bool { return nc.Status() == nats.CONNECTED })
	lookUp(t, q, "a", "1", start, true)
	lookUp(t, q, "a", "none", start, false)
}

func TestLookUpInAClosedQueue(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	store(t, q, "0")
	q.Close()
	if found, err := q.Published(t.Context(), "a", "0", time.Now()); found || err == nil {
		t.Errorf("%v, %v", found, err)
	}
}

// What was read of a stream says nothing of one that was made anew.
func TestLookUpInAStreamMadeAnew(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	start := time.Now()
	for i := range 5 {
		store(t, q, fmt.Sprint(i))
	}
	lookUp(t, q, "a", "0", start, true)
	if err := q.js.DeleteStream(t.Context(), "RELOGIN_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), nc, config()); err != nil {
		t.Fatal(err)
	}
	lookUp(t, q, "a", "0", start, false)
	for i := range 3 {
		store(t, q, fmt.Sprint("new", i))
		lookUp(t, q, "a", "0", start, false)
		lookUp(t, q, "a", fmt.Sprint("new", i), start, true)
	}
}

func TestWhatWasReadIsForgotten(t *testing.T) {
	l := newLookups(nil, nil)
	using := l.history("in use")
	using.turn <- struct{}{}
	l.history("not in use")
	l.sweep(time.Now().Add(lookKeep - time.Second))
	if len(l.accounts) != 2 {
		t.Errorf("%d accounts are kept for a while, want 2", len(l.accounts))
	}
	l.sweep(time.Now().Add(lookKeep))
	if l.accounts["in use"] != using || len(l.accounts) != 1 {
		t.Errorf("%d accounts are kept, want the one in use", len(l.accounts))
	}
	for i := range maxKept + 1 {
		using.ids[keyOf(fmt.Sprint(i))] = 1
	}
	l.sweep(time.Now())
	if len(l.accounts) != 1 {
		t.Error("an account in use was forgotten")
	}
	<-using.turn
	l.history("in use")
	l.sweep(time.Now())
	if len(l.accounts) != 0 {
		t.Error("more is kept than the bound")
	}
}
