package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// consuming is a running [Consume] of a test.
type consuming struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once ended is closed
}

// consume starts consuming as billing, unless the options have a name, with short pauses.
func consume(t *testing.T, nc *nats.Conn, o ConsumeOptions, handle func(context.Context, *job.Event) error) *consuming {
	t.Helper()
	if o.Name == "" {
		o.Name = "billing"
	}
	if o.RetryPause == 0 {
		o.RetryPause, o.MaxRetryPause = 10*time.Millisecond, 50*time.Millisecond
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &consuming{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.err = Consume(ctx, nc, o, handle)
	}()
	t.Cleanup(func() { c.cancel(); <-c.ended })
	return c
}

// stop fails the test unless Consume ends as its context does.
func (c *consuming) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	<-c.ended
	if !errors.Is(c.err, context.Canceled) {
		t.Errorf("consume: %v", c.err)
	}
}

// tally notes which events were handled.
type tally struct {
	mu  sync.Mutex
	ids []string
}

func (s *tally) add(e *job.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, e.ID)
}

// all returns the ids in order.
func (s *tally) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.ids))
}

func putEvents(t *testing.T, q *Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		e := event("a", id, job.Failed)
		servers.Eventually(t, "event "+id+" to be stored", func() bool { return q.Publish(t.Context(), e) == nil })
	}
}

// consumerInfo returns what the server says of the durable consumer, once it is there.
func consumerInfo(t *testing.T, q *Queue, name string) (info *jetstream.ConsumerInfo) {
	t.Helper()
	servers.Eventually(t, "consumer "+name, func() bool {
		consumer, err := q.js.Consumer(t.Context(), "RELOGIN_EVENTS", name)
		if err == nil {
			info = consumer.CachedInfo()
		}
		return err == nil
	})
	return info
}

// allDone waits until the consumer has delivered everything and nothing is unacknowledged.
func allDone(t *testing.T, q *Queue) {
	t.Helper()
	servers.Eventually(t, "all events to be done", func() bool {
		info := consumerInfo(t, q, "billing")
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}

// deadEvents waits until so many events are in the dead stream, and returns them.
func deadEvents(t *testing.T, q *Queue, n int) (letters []*jetstream.RawStreamMsg) {
	t.Helper()
	stream, err := q.js.Stream(t.Context(), "RELOGIN_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	servers.Eventually(t, fmt.Sprint(n, " dead letters"), func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == uint64(n)
	})
	for i := range n {
		msg, err := stream.GetMsg(t.Context(), stream.CachedInfo().State.FirstSeq+uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, msg)
	}
	return letters
}

func TestConsumeResumes(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "1", "2", "3")
	for _, want := range []string{"1 2 3", "4 5"} {
		var got tally
		c := consume(t, nc, ConsumeOptions{}, func(_ context.Context, e *job.Event) error { got.add(e); return nil })
		servers.Eventually(t, "events "+want, func() bool { return len(got.all()) >= len(strings.Fields(want)) })
		c.stop(t)
		allDone(t, q)
		if ids := strings.Join(got.all(), " "); ids != want {
			t.Errorf("handled %s, want %s", ids, want)
		}
		if want == "1 2 3" {
			putEvents(t, q, "4", "5")
		}
	}
}

func TestConsumeFiltersAndBegins(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "1", "2")
	put := func(wcID, id string, outcome job.Outcome) {
		if err := q.Publish(t.Context(), event(wcID, id, outcome)); err != nil {
			t.Fatal(err)
		}
	}
	put("b", "3", job.Failed)
	put("a", "4", job.Succeeded)
	put("a", "5", job.Expired)
	last, err := q.events.GetMsg(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		o    ConsumeOptions
		want string
	}{
		"account":      {ConsumeOptions{Account: "b"}, "3"},
		"outcome":      {ConsumeOptions{Outcomes: []job.Outcome{job.Succeeded}}, "4"},
		"two-outcomes": {ConsumeOptions{Outcomes: []job.Outcome{job.Succeeded, job.Expired, job.Expired}}, "4 5"},
		"both":         {ConsumeOptions{Account: "a", Outcomes: []job.Outcome{job.Failed, job.Succeeded}}, "1 2 4"},
		"since":        {ConsumeOptions{Since: last.Time}, "5"},
		"all":          {ConsumeOptions{}, "1 2 3 4 5"},
	} {
		test.o.Name = name
		var got tally
		c := consume(t, nc, test.o, func(_ context.Context, e *job.Event) error { got.add(e); return nil })
		servers.Eventually(t, name, func() bool { return len(got.all()) >= len(strings.Fields(test.want)) })
		servers.Eventually(t, name+" to be done", func() bool {
			info := consumerInfo(t, q, name)
			return info.NumPending == 0 && info.NumAckPending == 0
		})
		c.stop(t)
		if ids := strings.Join(got.all(), " "); ids != test.want {
			t.Errorf("%s: handled %s, want %s", name, ids, test.want)
		}
	}
}

// Each event goes to one instance; one that has its hands full takes none from the others.
func TestConsumersShare(t *testing.T) {
	url := servers.NATS(t)
	q := open(t, connect(t, url), config())
	var got tally
	var inHand [2]atomic.Int32
	full, release := make(chan struct{}, 2), make(chan struct{})
	var all []*consuming
	for i := range 2 {
		all = append(all, consume(t, connect(t, url), ConsumeOptions{MaxInFlight: 3}, func(_ context.Context, e *job.Event) error {
			if inHand[i].Add(1) == 3 {
				full <- struct{}{}
			}
			<-release
			got.add(e)
			return nil
		}))
	}
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("%02d", i))
	}
	putEvents(t, q, ids...)
	<-full
	<-full
	for i := range inHand {
		if n := inHand[i].Load(); n != 3 {
			t.Errorf("instance %d has %d events in its hands", i, n)
		}
	}
	if info := consumerInfo(t, q, "billing"); info.NumAckPending != 6 {
		t.Errorf("%d events were taken, want 6", info.NumAckPending)
	}
	close(release)
	allDone(t, q)
	for _, c := range all {
		c.stop(t)
	}
	if !slices.Equal(got.all(), ids) {
		t.Errorf("handled %v", got.all())
	}
}

// What fails again and again, panics, or can't be read ends where it is seen; the rest goes on.
func TestConsumeBuries(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "bad", "panics", "flaky", "good")
	for subject, body := range map[string]string{
		"relogin.events.failed.b": "not an event", "relogin.events.improved.b": `{"id":"new","outcome":"improved"}`, "relogin.events.failed.c": `{}`,
	} {
		if _, err := q.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{"Nats-Msg-Id": {body}, "X": {"y"}}}); err != nil {
			t.Fatal(err)
		}
	}
	var calls, handled tally
	c := consume(t, nc, ConsumeOptions{MaxDeliveries: 3}, func(_ context.Context, e *job.Event) error {
		calls.add(e)
		n := 0
		for _, id := range calls.all() {
			if id == e.ID {
				n++
			}
		}
		switch {
		case e.ID == "panics":
			panic("oh")
		case e.ID == "bad", e.ID == "flaky" && n < 3:
			return errors.New("no\nway")
		}
		handled.add(e)
		return nil
	})
	reasons := map[string]string{}
	for _, letter := range deadEvents(t, q, 5) {
		if letter.Subject != "relogin.dead.events" || letter.Header.Get("Relogin-Consumer") != "billing" || letter.Header.Get("Relogin-Stream") != "RELOGIN_EVENTS" || letter.Header.Get("Relogin-Sequence") == "" {
			t.Errorf("a dead letter on %s with %v", letter.Subject, letter.Header)
		}
		stored, err := q.events.GetLastMsgForSubject(t.Context(), "relogin.events.improved.b")
		if err != nil {
			t.Fatal(err)
		}
		id := letter.Header.Get("Relogin-Msg-Id")
		if id == stored.Header.Get("Nats-Msg-Id") && (string(letter.Data) != string(stored.Data) || letter.Header.Get("X") != "y") {
			t.Errorf("the dead letter %q with %v", letter.Data, letter.Header)
		}
		reasons[id] = letter.Header.Get("Relogin-Reason") + " " + letter.Header.Get("Relogin-Deliveries")
	}
	for id, want := range map[string]string{
		"bad": "handling it failed after 3 deliveries: no; way 3", "panics": "handling it failed after 3 deliveries: the handler panicked: oh 3",
	} {
		if reasons[id] != want {
			t.Errorf("the reason of %s is %q", id, reasons[id])
		}
	}
	for id, want := range map[string]string{"not an event": "decode event", `{"id":"new","outcome":"improved"}`: `unknown outcome "improved"`, "{}": `unknown outcome ""`} {
		if !strings.Contains(reasons[id], want) || !strings.HasSuffix(reasons[id], " 1") {
			t.Errorf("the reason of %s is %q", id, reasons[id])
		}
	}
	allDone(t, q)
	c.stop(t)
	if got := strings.Join(handled.all(), " "); got != "flaky good" {
		t.Errorf("handled %s", got)
	}
	if n := len(calls.all()); n != 3+3+3+1 {
		t.Errorf("%d calls: %v", n, calls.all())
	}
}

// An event that ends the program each time is not delivered for ever.
func TestConsumeBuriesWhatKillsTheProgram(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "deadly")
	o := ConsumeOptions{Name: "billing"}
	want, err := o.complete("relogin")
	if err != nil {
		t.Fatal(err)
	}
	dying, err := q.js.CreateConsumer(t.Context(), "RELOGIN_EVENTS", want)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		msg, err := dying.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := msg.Nak(); err != nil { // what the server does after AckWait
			t.Fatal(err)
		}
	}
	c := consume(t, nc, ConsumeOptions{MaxDeliveries: 3}, func(context.Context, *job.Event) error {
		t.Error("the handler was called")
		return nil
	})
	if reason := deadEvents(t, q, 1)[0].Header.Get("Relogin-Reason"); !strings.Contains(reason, "delivered 3 times") {
		t.Errorf("the reason is %q", reason)
	}
	allDone(t, q)
	c.stop(t)
}

// An event that can't be stored in the dead stream stays among the events to be handled.
func TestConsumeKeepsWhatCannotBeBuried(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	dead, err := q.js.Stream(t.Context(), "RELOGIN_DEAD")
	if err != nil {
		t.Fatal(err)
	}
	full := dead.CachedInfo().Config
	full.MaxMsgs, full.Discard = 1, jetstream.DiscardNew
	if _, err := q.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	if _, err := q.js.Publish(t.Context(), "relogin.dead.normal", nil); err != nil {
		t.Fatal(err)
	}
	putEvents(t, q, "1")
	c := consume(t, nc, ConsumeOptions{MaxDeliveries: 1}, func(context.Context, *job.Event) error { return errors.New("no") })
	servers.Eventually(t, "the event to come back", func() bool {
		consumer, err := q.js.Consumer(t.Context(), "RELOGIN_EVENTS", "billing")
		return err == nil && consumer.CachedInfo().Delivered.Consumer > 3
	})
	full.MaxMsgs = 2
	if _, err := q.js.UpdateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	deadEvents(t, q, 2)
	allDone(t, q)
	c.stop(t)
}

// While its handler runs, an event is delivered to nobody else, however long that is.
func TestConsumeLongerThanAckWait(t *testing.T) {
	servers.SkipIfShort(t, "it waits for several ack-waits")
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "1")
	silent, err := q.js.CreateConsumer(t.Context(), "RELOGIN_EVENTS", jetstream.ConsumerConfig{Durable: "silent", AckWait: time.Second, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int32
	handle := func(context.Context, *job.Event) error {
		calls.Add(1)
		for range 4 { // three times AckWait have passed when the event came to the other one so often
			if _, err := silent.Next(); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	one := consume(t, nc, ConsumeOptions{AckWait: time.Second}, handle)
	other := consume(t, nc, ConsumeOptions{AckWait: time.Second}, handle)
	servers.Eventually(t, "the event to be taken", func() bool { return calls.Load() > 0 })
	allDone(t, q)
	one.stop(t)
	other.stop(t)
	if info := consumerInfo(t, q, "billing"); calls.Load() != 1 || info.Delivered.Consumer != 1 {
		t.Errorf("%d calls, %d deliveries", calls.Load(), info.Delivered.Consumer)
	}
}

func TestConsumeAcrossARestart(t *testing.T) {
	s := servers.StartNATS(t, nil)
	nc := connect(t, s.URL())
	q := open(t, nc, config())
	var got tally
	release := make(chan struct{})
	c := consume(t, nc, ConsumeOptions{AckWait: time.Second, MaxInFlight: 4}, func(_ context.Context, e *job.Event) error {
		<-release
		got.add(e)
		return nil
	})
	ids := []string{"0", "1", "2", "3", "4", "5", "6", "7"}
	putEvents(t, q, ids...)
	servers.Eventually(t, "the handlers to be busy", func() bool { return consumerInfo(t, q, "billing").NumAckPending == 4 })
	s.Stop()
	close(release) // what is done now can't be acknowledged
	servers.Eventually(t, "the handlers to return", func() bool { return len(got.all()) == 4 })
	s.Start()
	putEvents(t, q, "8")
	allDone(t, q)
	c.stop(t)
	handled := slices.Compact(got.all())
	if want := append(ids, "8"); !slices.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
}

// Stopping lets handlers finish: what they have done is done, and what they give up is
// there for the next instance at once.
func TestConsumeStopsWhileBusy(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "gives-up", "finishes")
	var busy, told sync.WaitGroup
	busy.Add(2)
	told.Add(2)
	finish := make(chan struct{})
	c := consume(t, nc, ConsumeOptions{RetryPause: time.Hour, AckWait: time.Hour}, func(ctx context.Context, e *job.Event) error {
		busy.Done()
		<-ctx.Done()
		told.Done()
		<-finish
		if e.ID == "gives-up" {
			return ctx.Err()
		}
		return nil
	})
	busy.Wait()
	c.cancel()
	told.Wait()
	putEvents(t, q, "late")
	select {
	case <-c.ended:
		t.Error("Consume returned before its handlers")
	default:
	}
	close(finish)
	c.stop(t)
	var got tally
	next := consume(t, nc, ConsumeOptions{}, func(_ context.Context, e *job.Event) error { got.add(e); return nil })
	allDone(t, q)
	next.stop(t)
	if ids := strings.Join(got.all(), " "); ids != "gives-up late" {
		t.Errorf("the next instance handled %s", ids)
	}
}

func TestConsumeChecksItsOptions(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	fine := func(context.Context, *job.Event) error { return nil }
	for want, o := range map[string]ConsumeOptions{
		`option Name ""`:                       {},
		`option Name "a.b"`:                    {Name: "a.b"},
		`namespace "a.b"`:                      {Name: "a", Namespace: "a.b"},
		`unknown outcome "improved"`:           {Name: "a", Outcomes: []job.Outcome{"improved"}},
		"option MaxInFlight -1":                {Name: "a", MaxInFlight: -1},
		"option MaxInFlight 10001":             {Name: "a", MaxInFlight: 10001},
		"option MaxDeliveries -1":              {Name: "a", MaxDeliveries: -1},
		"option RetryPause -1s":                {Name: "a", RetryPause: -time.Second},
		"option MaxRetryPause 1s":              {Name: "a", RetryPause: time.Minute, MaxRetryPause: time.Second},
		"option AckWait 10ms":                  {Name: "a", AckWait: 10 * time.Millisecond},
		"relogin setup creates stream RELOGIN": {Name: "a"},
	} {
		if err := Consume(t.Context(), nc, o, fine); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
	err := Consume(t.Context(), nc, ConsumeOptions{AckWait: 1}, nil)
	for _, want := range []string{"option Name", "option AckWait", "handle is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

func TestConsumeRefusesAConsumerThatCannotServe(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for name, c := range map[string]jetstream.ConsumerConfig{
		"max_deliver": {MaxDeliver: 3}, "filter_subject": {FilterSubject: "relogin.events.failed.*"}, "ack_policy": {AckPolicy: jetstream.AckNonePolicy},
		"inactive_threshold": {InactiveThreshold: time.Hour}, "headers_only": {HeadersOnly: true}, "mem_storage": {MemoryStorage: true},
	} {
		c.Durable = name
		if _, err := q.js.CreateConsumer(t.Context(), "RELOGIN_EVENTS", c); err != nil {
			t.Fatal(err)
		}
		err := Consume(t.Context(), nc, ConsumeOptions{Name: name}, func(context.Context, *job.Event) error { return nil })
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), name+" ") || !strings.Contains(err.Error(), "nats consumer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What an operator makes with few words serves.
	if _, err := q.js.CreateConsumer(t.Context(), "RELOGIN_EVENTS", jetstream.ConsumerConfig{Durable: "plain"}); err != nil {
		t.Fatal(err)
	}
	putEvents(t, q, "1")
	handled := make(chan string, 1)
	c := consume(t, nc, ConsumeOptions{Name: "plain"}, func(_ context.Context, e *job.Event) error { handled <- e.ID; return nil })
	if id := <-handled; id != "1" {
		t.Errorf("handled %s", id)
	}
	c.stop(t)
}

func TestConsumeEndsWithItsConsumer(t *testing.T) {
	servers.SkipIfShort(t, "it waits until the consumer is missed")
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	putEvents(t, q, "1")
	handled := make(chan struct{})
	c := consume(t, nc, ConsumeOptions{}, func(context.Context, *job.Event) error { close(handled); return nil })
	<-handled
	if err := q.js.DeleteConsumer(t.Context(), "RELOGIN_EVENTS", "billing"); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	if !errors.Is(c.err, jetstream.ErrConsumerNotFound) || !strings.Contains(c.err.Error(), "billing") {
		t.Errorf("consume: %v", c.err)
	}
}

func TestConsumeEndsWithItsConnection(t *testing.T) {
	url := servers.NATS(t)
	q := open(t, connect(t, url), config())
	putEvents(t, q, "1")
	nc := connect(t, url)
	handled := make(chan struct{})
	c := consume(t, nc, ConsumeOptions{}, func(context.Context, *job.Event) error { close(handled); return nil })
	<-handled
	nc.Close()
	<-c.ended
	if !errors.Is(c.err, nats.ErrConnectionClosed) {
		t.Errorf("consume: %v", c.err)
	}
}

func TestConsumeNamesThePermissionThatIsMissing(t *testing.T) {
	servers.SkipIfShort(t, "it waits for requests that are not answered")
	may := []string{
		"$JS.API.CONSUMER.INFO.RELOGIN_EVENTS.*", "$JS.API.CONSUMER.CREATE.RELOGIN_EVENTS.*.relogin.events.*.*",
		"$JS.API.CONSUMER.MSG.NEXT.RELOGIN_EVENTS.*", "relogin.dead.events",
	}
	s := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "admin", Password: "p"}}
		for i := range may {
			o.Users = append(o.Users, &server.User{Username: fmt.Sprint("without-", i), Password: "p", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: slices.Delete(slices.Clone(may), i, i+1)}}})
		}
	})
	as := func(user string) *nats.Conn { return connect(t, strings.Replace(s.URL(), "//", "//"+user+":p@", 1)) }
	if err := Setup(t.Context(), as("admin"), config()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup // each waits for an answer that does not come
	for i, without := range may {
		without, _, _ = strings.Cut(without, "*")
		nc := as(fmt.Sprint("without-", i))
		all.Go(func() {
			err := Consume(t.Context(), nc, ConsumeOptions{Name: fmt.Sprint("c", i)}, func(context.Context, *job.Event) error { return nil })
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), without) {
				t.Errorf("without %s: %v", without, err)
			}
		})
	}
	all.Wait()
}
