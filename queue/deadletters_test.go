package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// die publishes a message as a job, and moves it to the dead stream.
func die(t *testing.T, nc *nats.Conn, q *Queue, lane job.Lane, msg *nats.Msg, reason string) {
	t.Helper()
	msg.Subject = q.names.jobSubject(lane)
	if _, err := q.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	d := take(t, q, lane, 1)[0]
	if err := q.Bury(t.Context(), d, reason); err != nil {
		t.Fatal(err)
	}
	d.Term()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func letters(t *testing.T, d *DeadLetters, f DeadLetterFilter) (all []*DeadLetter) {
	t.Helper()
	for l, err := range d.All(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func deadLetters(t *testing.T) (*nats.Conn, *Queue, *DeadLetters) {
	t.Helper()
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	d, err := OpenDeadLetters(t.Context(), nc, "")
	if err != nil {
		t.Fatal(err)
	}
	return nc, q, d
}

func TestDeadLettersAreReadAndChosen(t *testing.T) {
	nc, q, d := deadLetters(t)
	if got := letters(t, d, DeadLetterFilter{}); len(got) != 0 {
		t.Fatalf("an empty stream has %d letters", len(got))
	}
	die(t, nc, q, job.Normal, &nats.Msg{Data: []byte("no job"), Header: nats.Header{"X-Own": {"1"}}}, "invalid job: it is no map")
	die(t, nc, q, job.Urgent, &nats.Msg{Data: []byte(`{"wcId":"b","id":"2","tenant":"acme","labels":{"k":"v"}}`)}, "Delivered too often")
	die(t, nc, q, job.Normal, &nats.Msg{Data: []byte(`{"wcId":"c"}`), Header: nats.Header{nats.MsgIdHdr: {"m"}}}, "unknown tenant")

	all := letters(t, d, DeadLetterFilter{})
	if len(all) != 3 {
		t.Fatalf("%d letters", len(all))
	}
	first, second, third := all[0], all[1], all[2]
	if string(first.Data) != "no job" || first.Lane != job.Normal || first.Header.Get("X-Own") != "1" || first.WcID != "" || first.JobID != "RELOGIN_JOBS-1" {
		t.Errorf("the first letter is %+v", first)
	}
	if o := first.Origin; o.Stream != "RELOGIN_JOBS" || o.Sequence != 1 || o.Deliveries != 1 || time.Since(o.StoredAt) > time.Minute || o.MsgID != "" {
		t.Errorf("the first letter was before %+v", o)
	}
	if second.JobID != "2" || second.WcID != "b" || second.Tenant != "acme" || second.Labels["k"] != "v" || second.Lane != job.Urgent {
		t.Errorf("the second letter is %+v", second)
	}
	if third.JobID != "m" || third.Tenant != "default" || third.Origin.MsgID != "m" {
		t.Errorf("the third letter is %+v", third)
	}
	for _, test := range []struct {
		filter DeadLetterFilter
		want   string
	}{
		{DeadLetterFilter{Reason: "INVALID"}, "[1]"},
		{DeadLetterFilter{Reason: "delivered TOO"}, "[2]"},
		{DeadLetterFilter{Lane: job.Normal}, "[1 3]"},
		{DeadLetterFilter{Tenant: "acme"}, "[2]"},
		{DeadLetterFilter{WcID: "c"}, "[3]"},
		{DeadLetterFilter{JobID: "2"}, "[2]"},
		{DeadLetterFilter{Since: second.StoredAt}, "[2 3]"},
		{DeadLetterFilter{Before: third.StoredAt}, "[1 2]"},
		{DeadLetterFilter{Lane: job.Normal, WcID: "b"}, "[]"},
	} {
		got := []uint64{}
		for _, l := range letters(t, d, test.filter) {
			got = append(got, l.Sequence)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%+v chooses %v, want %s", test.filter, got, test.want)
		}
	}
	if got, err := d.Get(t.Context(), 2); err != nil || got.JobID != "2" {
		t.Errorf("the second letter: %v, %v", got, err)
	}
	if err := d.Drop(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	for _, sequence := range []uint64{0, 2, 4} {
		if _, err := d.Get(t.Context(), sequence); !errors.Is(err, ErrNoDeadLetter) {
			t.Errorf("letter %d: %v", sequence, err)
		}
	}
	if err := d.Drop(t.Context(), second); !errors.Is(err, ErrNoDeadLetter) {
		t.Errorf("dropping it twice: %v", err)
	}
}

// More letters than one request reads.
func TestAllDeadLetters(t *testing.T) {
	_, q, d := deadLetters(t)
	const n = 2*readBatch + 1
	for i := range n {
		if _, err := q.js.Publish(t.Context(), "relogin.dead.normal", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range letters(t, d, DeadLetterFilter{}) {
		if string(l.Data) != fmt.Sprint(i) {
			t.Fatalf("letter %d has %q", i, l.Data)
		}
	}
	if got := len(letters(t, d, DeadLetterFilter{})); got != n {
		t.Errorf("%d letters", got)
	}
}

// A replayed job may die again before the last letter is read.
func TestAllEndsWhileLettersCome(t *testing.T) {
	_, q, d := deadLetters(t)
	add := func() {
		if _, err := q.js.Publish(t.Context(), "relogin.dead.normal", nil); err != nil {
			t.Fatal(err)
		}
	}
	add()
	add()
	n := 0
	for _, err := range d.All(t.Context(), DeadLetterFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		add()
	}
	if n != 2 {
		t.Errorf("%d letters", n)
	}
}

func TestReplayedJobsKeepWhatTheyAre(t *testing.T) {
	nc, q, d := deadLetters(t)
	for _, test := range []struct {
		about string
		msg   nats.Msg
		id    string
	}{
		{"an id of its own", nats.Msg{Data: []byte(`{"wcId":"a","id":"own"}`), Header: nats.Header{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}, "own"},
		{"a place in the stream", nats.Msg{Data: []byte("\x81\xa4wcId\xa1b")}, "RELOGIN_JOBS-3"},
		{"a body that says nothing", nats.Msg{Data: []byte("\xc1"), Header: nats.Header{"Content-Type": {"text/plain"}}}, "RELOGIN_JOBS-5"},
	} {
		t.Run(test.about, func(t *testing.T) {
			body := string(test.msg.Data)
			die(t, nc, q, job.Urgent, &test.msg, "odd")
			all := letters(t, d, DeadLetterFilter{})
			if len(all) != 1 {
				t.Fatalf("%d letters", len(all))
			}
			one, err := d.Replay(t.Context(), all[0])
			if err != nil || one.JobID != test.id || one.Duplicate {
				t.Fatalf("replayed: %+v, %v", one, err)
			}
			// Somebody else has just read the same letter.
			if again, err := d.Replay(t.Context(), all[0]); err != nil || !again.Duplicate || again.Sequence != one.Sequence {
				t.Errorf("replayed again: %+v, %v", again, err)
			}
			if left := letters(t, d, DeadLetterFilter{}); len(left) != 0 {
				t.Errorf("%d letters are left", len(left))
			}
			got := take(t, q, job.Urgent, 1)[0]
			j, _ := got.Job()
			if string(got.Data) != body || j.ID != test.id || got.ContentType != test.msg.Header.Get("Content-Type") || got.Traceparent != test.msg.Header.Get("traceparent") {
				t.Errorf("the job came back as %q, %s, %+v", got.Data, j.ID, got.Header)
			}
			got.Ack()
			nothing(t, q, job.Urgent, 100*time.Millisecond)
		})
	}
}

// NATS drops what has the id of a message that it stored a moment ago: the letter stays then.
func TestReplayThatNATSWouldDrop(t *testing.T) {
	nc, q, d := deadLetters(t)
	die(t, nc, q, job.Normal, &nats.Msg{Data: []byte(`{"wcId":"a"}`), Header: nats.Header{nats.MsgIdHdr: {"m"}}}, "odd")
	one := letters(t, d, DeadLetterFilter{})[0]
	if _, err := d.Replay(t.Context(), one); !errors.Is(err, ErrNotReplayable) {
		t.Errorf("replayed: %v", err)
	}
	if left := letters(t, d, DeadLetterFilter{}); len(left) != 1 {
		t.Errorf("%d letters are left", len(left))
	}
}

func TestEventsAreNotReplayed(t *testing.T) {
	_, q, d := deadLetters(t)
	e := &job.Event{ID: "e", JobID: "1", WcID: "a", Tenant: "acme", Result: job.Result{Outcome: job.Failed, FinishedAt: time.Now()}}
	data, err := e.Encode(job.EncodingJSON)
	if err != nil {
		t.Fatal(err)
	}
	msg := &nats.Msg{Subject: "relogin.dead.events", Data: data, Header: nats.Header{consumerHeader: {"billing"}}}
	if _, err := q.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	one := letters(t, d, DeadLetterFilter{})[0]
	if one.Consumer != "billing" || one.JobID != "1" || one.WcID != "a" || one.Tenant != "acme" || one.Lane != "" {
		t.Errorf("the letter is %+v", one)
	}
	if _, err := d.Replay(t.Context(), one); !errors.Is(err, ErrNotReplayable) {
		t.Errorf("replayed: %v", err)
	}
}
