package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func config() Config {
	return Config{
		Namespace: "relogin", Replicas: 1, AckWait: time.Second, EventMaxAge: time.Hour, DeadMaxAge: time.Hour,
		DuplicateWindow: 2 * time.Minute, Logger: quiet,
	}
}

func connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := Connect(t.Context(), Options{URL: url, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, c Config) *Queue {
	t.Helper()
	if err := Setup(t.Context(), nc, c); err != nil {
		t.Fatal(err)
	}
	q, err := Open(t.Context(), nc, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

func publish(t testing.TB, nc *nats.Conn, lane job.Lane, jobs ...job.Job) {
	t.Helper()
	p, err := NewPublisher(nc, "relogin")
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if _, err := p.Publish(t.Context(), &j, lane); err != nil {
			t.Fatal(err)
		}
	}
}

func take(t testing.TB, q *Queue, lane job.Lane, n int) []*job.Delivery {
	t.Helper()
	taken, _, err := q.Take(t.Context(), lane, n, 10*time.Second)
	if err != nil || len(taken) == 0 {
		t.Fatalf("took %d jobs: %v", len(taken), err)
	}
	return taken
}

// nothing checks that the lane delivers no job for a while.
func nothing(t testing.TB, q *Queue, lane job.Lane, wait time.Duration) {
	t.Helper()
	taken, _, err := q.Take(t.Context(), lane, 1, wait)
	if err != nil || len(taken) != 0 {
		t.Fatalf("took %d jobs: %v", len(taken), err)
	}
}

func stored(t testing.TB, q *Queue) uint64 {
	t.Helper()
	jobs, err := q.js.Stream(t.Context(), "RELOGIN_JOBS")
	if err != nil {
		t.Fatal(err)
	}
	return jobs.CachedInfo().State.Msgs
}

func TestSetupFromManyPods(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := Setup(t.Context(), nc, config()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	other := config()
	other.AckWait = time.Minute // another pod's setting changes nothing
	if err := Setup(t.Context(), nc, other); err != nil {
		t.Error(err)
	}
}

func TestSetupFindsWhatCannotServe(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	js, _ := jetstream.New(nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "RELOGIN_JOBS", Subjects: []string{"relogin.jobs.*"}, Retention: jetstream.LimitsPolicy}); err != nil {
		t.Fatal(err)
	}
	err := Setup(t.Context(), nc, config())
	if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "RELOGIN_JOBS") || !strings.Contains(err.Error(), "workqueue") {
		t.Errorf("error %v", err)
	}
	bad := config()
	bad.Namespace = "a.b"
	if err := Setup(t.Context(), nc, bad); err == nil || !strings.Contains(err.Error(), `"a.b"`) {
		t.Errorf("error %v", err)
	}
}

func TestTakeAndSettle(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	nothing(t, q, job.Normal, 50*time.Millisecond)
	for i := range 10 {
		publish(t, nc, job.Normal, job.Job{WcID: "a", ID: fmt.Sprint(i)})
	}
	publish(t, nc, job.Urgent, job.Job{WcID: "b", ID: "u"})

	d := take(t, q, job.Urgent, 5)[0]
	j, err := d.Job()
	if err != nil || j.WcID != "b" || d.Lane != job.Urgent || d.Attempts != 1 || d.Sequence != 11 || d.Stream != "RELOGIN_JOBS" || d.StoredAt.IsZero() {
		t.Errorf("took %+v, %v", d, err)
	}
	taken, backlog, err := q.Take(t.Context(), job.Normal, 4, time.Second)
	if err != nil || len(taken) != 4 || backlog > 6 { // the server may not have counted the last ones yet
		t.Fatalf("took %d, %d left: %v", len(taken), backlog, err)
	}
	servers.Eventually(t, "the backlog to be counted", func() bool {
		lanes, err := q.Backlog(t.Context())
		return err == nil && lanes[job.Normal] == 10 && lanes[job.Urgent] == 1
	})
	d.Ack()
	d.Ack() // settles once
	taken[0].Ack()
	taken[1].Term()
	taken[2].HandBack(0)
	servers.Eventually(t, "the settled jobs to leave", func() bool { return stored(t, q) == 8 })
	again := take(t, q, job.Normal, 1)[0]
	if again.Sequence != taken[2].Sequence || again.Attempts != 2 {
		t.Errorf("after the hand-back came %d, delivery %d", again.Sequence, again.Attempts)
	}
}

func TestHandBackWithDelay(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	publish(t, nc, job.Normal, job.Job{WcID: "a"})
	start := time.Now()
	take(t, q, job.Normal, 1)[0].HandBack(300 * time.Millisecond)
	if d := take(t, q, job.Normal, 1)[0]; d.Attempts != 2 || time.Since(start) < 300*time.Millisecond {
		t.Errorf("delivery %d after %v", d.Attempts, time.Since(start))
	}
}

// Held by a living pod, a job is not delivered again; with the pod gone it is.
func TestAliveUntilTheProcessDies(t *testing.T) {
	servers.SkipIfShort(t, "it waits for several ack-waits")
	url := servers.NATS(t)
	nc := connect(t, url)
	q := open(t, nc, config())
	publish(t, nc, job.Normal, job.Job{WcID: "a"})
	holder, err := Open(t.Context(), connect(t, url), config())
	if err != nil {
		t.Fatal(err)
	}
	take(t, holder, job.Normal, 1)
	nothing(t, q, job.Normal, 3*time.Second) // three times AckWait
	holder.Close()                           // no more signs of life
	if d := take(t, q, job.Normal, 1)[0]; d.Attempts != 2 {
		t.Errorf("delivery %d", d.Attempts)
	}
}

func TestTakeEndsWithItsContext(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	taken, _, err := q.Take(ctx, job.Normal, 1, time.Minute)
	if len(taken) != 0 || err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("took %d after %v: %v", len(taken), time.Since(start), err)
	}
}

func event(wcID, id string, outcome job.Outcome) *job.Event {
	return &job.Event{ID: id, JobID: "j" + id, WcID: wcID, Result: job.Result{
		Outcome: outcome, FinishedAt: time.Now(), Prompted: true, Login: &job.Login{WcID: wcID, WID: "w" + id}}}
}

func TestPublishOnce(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for range 3 {
		if err := q.Publish(t.Context(), event("a", "1", job.Succeeded)); err != nil {
			t.Fatal(err)
		}
	}
	info, _ := q.events.Info(t.Context())
	if info.State.Msgs != 1 {
		t.Errorf("%d events are stored", info.State.Msgs)
	}
}

func TestEventHeaders(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	c := config()
	c.EventEncoding = job.EncodingJSON
	q := open(t, nc, c)
	e := event("a b\x00\"%é>", "1", job.Failed)
	e.Traceparent = "00-1-2-01"
	if err := q.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	msg, err := q.events.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := "relogin.events.failed." + job.AccountToken(e.WcID); msg.Subject != want {
		t.Errorf("subject %s, want %s", msg.Subject, want)
	}
	for header, want := range map[string]string{
		"Nats-Msg-Id": "1", "Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "1",
		"ce-source": "/relogin/relogin", "ce-type": "relogin.failed", "ce-subject": "a%20b%00%22%25%C3%A9>",
		"ce-datacontenttype": "application/json", "ce-prompted": "true", "traceparent": "00-1-2-01",
		"ce-time": e.FinishedAt.UTC().Format(time.RFC3339Nano),
	} {
		if got := msg.Header.Get(header); got != want {
			t.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	e := event("a", "1", job.Succeeded)
	e.Login.Data = strings.Repeat("x", 2<<20)
	if err := q.Publish(t.Context(), e); !errors.Is(err, job.ErrUnsendable) {
		t.Errorf("large body: %v", err)
	}
	if err := q.Publish(t.Context(), event(strings.Repeat("ä", 2000), "2", job.Invalid)); !errors.Is(err, job.ErrUnsendable) {
		t.Errorf("long account: %v", err)
	}
}

func TestPublished(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	start := time.Now()
	for i := range 600 {
		if err := q.Publish(t.Context(), event("a.b", fmt.Sprint(i), job.Failed)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		wcID, id string
		since    time.Time
		want     bool
	}{
		{"a.b", "599", start, true},
		{"a.b", "0", start, true},
		{"a.b", "600", start, false},
		{"other", "0", start, false},
		{"a.b", "0", time.Now().Add(time.Hour), false},
	} {
		got, err := q.Published(t.Context(), test.wcID, test.id, test.since)
		if err != nil || got != test.want {
			t.Errorf("Published(%q, %s) = %v, %v", test.wcID, test.id, got, err)
		}
	}
	info, _ := q.events.Info(t.Context())
	if info.State.Consumers != 0 {
		t.Errorf("%d consumers are left", info.State.Consumers)
	}
}

func TestLastWID(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	if got, err := q.LastWID(t.Context(), "a"); got != "" || err != nil {
		t.Errorf("before: %q, %v", got, err)
	}
	for _, e := range []*job.Event{event("a", "1", job.Succeeded), event("a", "2", job.Succeeded), event("a", "3", job.Failed), event("b", "4", job.Succeeded)} {
		if err := q.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := q.LastWID(t.Context(), "a"); got != "w2" || err != nil {
		t.Errorf("after: %q, %v", got, err)
	}
}

func TestWatch(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	woken, freed := make(chan struct{}, 10), make(chan struct{}, 10)
	stop, err := q.Watch(t.Context(), "a.b", func() { woken <- struct{}{} }, func() { freed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	unprompted := event("a.b", "1", job.Succeeded)
	unprompted.Prompted = false
	for _, e := range []*job.Event{unprompted, event("other", "2", job.Failed), event("a.b", "3", job.Failed)} {
		if err := q.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	<-woken
	q.Freed("other")
	q.Freed("a.b")
	<-freed
	s.Stop()
	s.Start()
	<-woken // events may have been missed
	servers.Eventually(t, "the connection", func() bool { return nc.Status() == nats.CONNECTED })
	stop()
	if err := q.Publish(t.Context(), event("a.b", "4", job.Failed)); err != nil {
		t.Fatal(err)
	}
	if len(woken) != 0 || len(freed) != 0 {
		t.Errorf("%d wake-ups too many", len(woken))
	}
}

func TestBuryKeepsTheBytes(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	body := []byte{0x81, 0x00, 0xff, '\n'}
	if _, err := nc.RequestMsg(&nats.Msg{Subject: "relogin.jobs.urgent", Data: body,
		Header: nats.Header{"Nats-Msg-Id": {"id 1"}, "Content-Type": {"text/x"}, "X-Own": {"1"}}}, time.Second); err != nil {
		t.Fatal(err)
	}
	d := take(t, q, job.Urgent, 1)[0]
	for range 2 {
		if err := q.Bury(t.Context(), d, "bad:\nline two\x00"); err != nil {
			t.Fatal(err)
		}
	}
	dead, err := q.js.Stream(t.Context(), "RELOGIN_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	if n := dead.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d dead letters", n)
	}
	msg, err := dead.GetLastMsgForSubject(t.Context(), "relogin.dead.urgent")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(msg.Data, body) {
		t.Errorf("body %x, want %x", msg.Data, body)
	}
	for header, want := range map[string]string{
		"Relogin-Reason": "bad:; line two", "Relogin-Msg-Id": "id 1", "Content-Type": "text/x", "X-Own": "1",
		"Relogin-Stream": "RELOGIN_JOBS", "Relogin-Sequence": "1", "Relogin-Deliveries": "1",
	} {
		if got := msg.Header.Get(header); got != want {
			t.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
}

// A consumer with a bound on deliveries would leave jobs in the stream unseen.
func TestSetupRefusesABoundOnDeliveries(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	bounded := q.consumers[job.Normal].CachedInfo().Config
	bounded.MaxDeliver = 2
	if _, err := q.js.UpdateConsumer(t.Context(), "RELOGIN_JOBS", bounded); err != nil {
		t.Fatal(err)
	}
	if err := Setup(t.Context(), nc, config()); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "max_deliver 2") {
		t.Errorf("error %v", err)
	}
}

func TestFollow(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	put := func(e *job.Event) {
		t.Helper()
		servers.Eventually(t, "an event to be stored", func() bool { return q.Publish(t.Context(), e) == nil })
	}
	before := time.Now().Add(-time.Minute)
	put(event("a", "1", job.Succeeded))
	put(event("b", "2", job.Failed))
	follow := func(o FollowOptions, during func()) (ids []string) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		o.Namespace, o.Ready = "relogin", during
		err := Follow(ctx, nc, o, func(e *job.Event) error {
			ids = append(ids, e.ID)
			if e.ID == "end" {
				return errEnd
			}
			return nil
		})
		if !errors.Is(err, errEnd) {
			t.Fatalf("follow: %v after %v", err, ids)
		}
		return ids
	}
	end := func() { put(event("a", "end", job.Succeeded)) }
	if got := follow(FollowOptions{}, end); len(got) != 1 {
		t.Errorf("from now on: %v", got)
	}
	if got := follow(FollowOptions{Since: before}, nil); strings.Join(got, " ") != "1 2 end" {
		t.Errorf("since: %v", got)
	}
	if got := follow(FollowOptions{Since: before, Account: "a"}, nil); strings.Join(got, " ") != "1 end" {
		t.Errorf("account: %v", got)
	}
	if got := follow(FollowOptions{Since: before, Outcomes: []job.Outcome{job.Succeeded, job.Expired}}, nil); strings.Join(got, " ") != "1 end" {
		t.Errorf("outcome: %v", got)
	}
}

var errEnd = errors.New("end")

func TestConnectWaitsOrSaysNo(t *testing.T) {
	s := servers.StartNATS(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	right := strings.Replace(s.URL(), "//", "//u:p@", 1)
	if _, err := Connect(t.Context(), Options{URL: s.URL(), Logger: quiet}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a password: %v", err)
	}
	_, err := Connect(t.Context(), Options{URL: strings.Replace(right, "u:p", "u:secret", 1), Logger: quiet})
	if !errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "secret") {
		t.Errorf("with a wrong password: %v", err)
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, Options{URL: right, Logger: quiet}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a server: %v", err)
	}
	var starting sync.WaitGroup
	starting.Go(func() {
		time.Sleep(200 * time.Millisecond)
		s.Start()
	})
	nc, err := Connect(t.Context(), Options{URL: right, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	starting.Wait()
}

// What is published while the connection is lost must fail, not go out minutes later.
func TestNothingIsBufferedWhileDisconnected(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	s.Stop()
	servers.Eventually(t, "the loss to be noticed", func() bool { return nc.Status() == nats.RECONNECTING })
	if err := q.Publish(t.Context(), event("a", "1", job.Failed)); err == nil {
		t.Error("published without a server")
	}
	if _, _, err := q.Take(t.Context(), job.Normal, 1, time.Second); err == nil {
		t.Error("took without a server")
	}
	s.Start()
	servers.Eventually(t, "the connection", func() bool { return nc.Status() == nats.CONNECTED })
	if got, err := q.Published(t.Context(), "a", "1", time.Now().Add(-time.Minute)); got || err != nil {
		t.Errorf("published: %v, %v", got, err)
	}
}

func TestPublishRefusesWhatIsNoEvent(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for what, e := range map[string]*job.Event{"nil": nil, "no outcome": event("a", "1", ""), "another outcome": event("a", "1", "improved")} {
		if err := q.Publish(t.Context(), e); !errors.Is(err, job.ErrUnsendable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A follower passes over events that it would not know what to do with, and says so.
func TestFollowPassesOverUnknownOutcomes(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	var log bytes.Buffer
	o := FollowOptions{Logger: slog.New(slog.NewTextHandler(&log, nil)), Ready: func() {
		if _, err := q.js.Publish(t.Context(), "relogin.events.improved.a", []byte(`{"id":"1","outcome":"improved"}`)); err != nil {
			t.Error(err)
		}
		if err := q.Publish(t.Context(), event("a", "2", job.Failed)); err != nil {
			t.Error(err)
		}
	}}
	err := Follow(t.Context(), nc, o, func(e *job.Event) error {
		if e.ID != "2" {
			t.Errorf("event %s", e.ID)
		}
		return errEnd
	})
	if !errors.Is(err, errEnd) || !strings.Contains(log.String(), `unknown outcome`) {
		t.Errorf("follow: %v, log: %s", err, &log)
	}
	err = Follow(t.Context(), nc, FollowOptions{Outcomes: []job.Outcome{"improved"}}, func(*job.Event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), `unknown outcome "improved"`) {
		t.Errorf("error %v", err)
	}
}

// An empty namespace is the default everywhere.
func TestEmptyNamespace(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	c := config()
	c.Namespace = ""
	q := open(t, nc, c)
	if found, err := Check(t.Context(), nc, config()); err != nil || len(found) > 0 {
		t.Errorf("the default namespace lacks %v: %v", found, err)
	}
	if found, err := Check(t.Context(), nc, c); err != nil || len(found) > 0 {
		t.Errorf("the empty namespace lacks %v: %v", found, err)
	}
	if _, err := OpenIncarnationStore(t.Context(), nc, ""); err != nil {
		t.Error(err)
	}
	publish(t, nc, job.Normal, job.Job{WcID: "a"})
	take(t, q, job.Normal, 1)[0].Ack()
	if err := q.Publish(t.Context(), event("a", "1", job.Failed)); err != nil {
		t.Fatal(err)
	}
	if found, err := q.Published(t.Context(), "a", "1", time.Now().Add(-time.Minute)); !found || err != nil {
		t.Errorf("published: %v, %v", found, err)
	}
}
