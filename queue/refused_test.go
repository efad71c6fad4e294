package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// limit bounds the messages of the stream.
func limit(t *testing.T, q *Queue, stream string, maxMsgSize int32) {
	t.Helper()
	s, err := q.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxMsgSize = maxMsgSize
	if _, err := q.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// An event that the server refuses for good must not be tried for ever.
func TestRefusedEventIsUnsendable(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	e := event("a", "1", job.Failed)
	e.Traceparent = strings.Repeat("x", 70_000)
	if err := q.Publish(t.Context(), e); !errors.Is(err, job.ErrUnsendable) {
		t.Errorf("large headers: %v", err)
	}
	limit(t, q, "RELOGIN_EVENTS", 2000)
	e = event("a", "2", job.Succeeded)
	e.Login.Data = strings.Repeat("x", 4000)
	if err := q.Publish(t.Context(), e); !errors.Is(err, job.ErrUnsendable) {
		t.Errorf("larger than the stream allows: %v", err)
	}
	if err := q.Publish(t.Context(), event("a", "3", job.Failed)); err != nil {
		t.Errorf("a usual event: %v", err)
	}
}

func TestRefusedForItsSize(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nats.ErrMaxPayload, true},
		{&jetstream.APIError{ErrorCode: 10054}, true},
		{&jetstream.APIError{ErrorCode: 10097}, true},
		{&jetstream.APIError{ErrorCode: 10077, Description: "message too large"}, true},
		{&jetstream.APIError{ErrorCode: 10077, Description: "maximum messages exceeded"}, false},
		{&jetstream.APIError{ErrorCode: 10047}, false},
		{&jetstream.APIError{ErrorCode: 10008}, false},
		{nats.ErrTimeout, false},
	} {
		if got := tooLarge(fmt.Errorf("publish: %w", test.err)); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
	}
}

// raw publishes a job with headers that the library would not write.
func raw(t *testing.T, q *Queue, headers string, body []byte) *job.Delivery {
	t.Helper()
	header := nats.Header{}
	for line := range strings.Lines(headers) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		header[key] = append(header[key], value)
	}
	publishRaw(t, q.nc.ConnectedUrl(), "relogin.jobs.normal", header, body)
	return take(t, q, job.Normal, 1)[0]
}

// No header of a job may keep its dead letter from being stored, or give it a meaning.
func TestBuryWithOddHeaders(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	for i, headers := range []string{
		"x y: 1", "a@b: 1", "Ключ: 1", "(: 1", "X: \x01\x00\xff\t",
		"nats-schedule: @every 1s\nNATS-ROLLUP: all\nnats-expected-stream: OTHER\nNats-ttl: 1x\nkv-operation: PURGE",
		"nats-msg-id: z", "relogin-reason: forged\nRELOGIN-SEQUENCE: 9",
		"Status: 404", "status: 503\nDescription: No Messages",
	} {
		for _, body := range [][]byte{nil, []byte("x")} {
			d := raw(t, q, headers+"\nX-Own: kept", body)
			if err := q.Bury(t.Context(), d, fmt.Sprint("case ", i)); err != nil {
				t.Errorf("%q: %v", headers, err)
			}
			d.Term()
			letter := lastLetter(t, q)
			if got := letter.Headers().Get("Relogin-Reason"); got != fmt.Sprint("case ", i) {
				t.Errorf("%q: the reason is %q", headers, got)
			}
			if letter.Headers().Get("X-Own") != "kept" {
				t.Errorf("%q: the job's other headers are lost: %v", headers, letter.Headers())
			}
			for key := range letter.Headers() {
				if strings.HasPrefix(key, "nats-") || strings.HasPrefix(key, "NATS-") || strings.HasPrefix(key, "relogin-") || strings.HasPrefix(key, "RELOGIN-") {
					t.Errorf("%q: the dead letter has %s", headers, key)
				}
			}
		}
	}
}

// lastLetter reads the last dead letter as any consumer does.
func lastLetter(t *testing.T, q *Queue) jetstream.Msg {
	t.Helper()
	consumer, err := q.js.CreateConsumer(t.Context(), "RELOGIN_DEAD", jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatalf("read the dead letter: %v", err)
	}
	return msg
}

// A dead letter that is refused for its size is stored with less.
func TestBuryWithLess(t *testing.T) {
	const limited = 2500
	reason := strings.Repeat("r", maxReason)
	for _, test := range []struct {
		name       string
		headers    string
		body, room int // bytes; room 0: what the server allows
		has        []string
		lacks      []string
	}{
		{"headers near the limit", "X: " + strings.Repeat("x", 65_000), 10, 0, []string{"Relogin-Reason", "Relogin-Stream"}, []string{"X"}},
		{"a long id near the limit", "Nats-Msg-Id: " + strings.Repeat("x", 65_000), 10, 0, []string{"Relogin-Reason"}, []string{"Relogin-Msg-Id"}},
		{"headers above the stream's", "X: " + strings.Repeat("x", 900) + "\nNats-Msg-Id: i", 1000, limited, []string{"Relogin-Reason", "Relogin-Msg-Id"}, []string{"X"}},
		{"no room for the reason", "X: 1", limited - 500, limited, []string{"Relogin-Reason", "Relogin-Sequence"}, []string{"X"}},
		{"room for an id", "X: 1", limited - 120, limited, []string{"Nats-Msg-Id"}, []string{"Relogin-Reason"}},
		{"no room at all", "", limited, limited, nil, []string{"Nats-Msg-Id"}},
		{"as large as the server allows", "", 1 << 20, 0, nil, []string{"Nats-Msg-Id"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := open(t, connect(t, servers.NATS(t)), config())
			if test.room > 0 {
				limit(t, q, "RELOGIN_DEAD", int32(test.room))
			}
			d := raw(t, q, test.headers, make([]byte, test.body))
			if err := q.Bury(t.Context(), d, reason); err != nil {
				t.Fatal(err)
			}
			letter := lastLetter(t, q)
			if len(letter.Data()) != test.body {
				t.Errorf("%d bytes of %d", len(letter.Data()), test.body)
			}
			for _, key := range test.has {
				if letter.Headers().Get(key) == "" {
					t.Errorf("header %s is missing", key)
				}
			}
			for _, key := range test.lacks {
				if letter.Headers().Get(key) != "" {
					t.Errorf("header %s is there", key)
				}
			}
		})
	}
}

func TestBuryWhatNoStreamTakes(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	limit(t, q, "RELOGIN_DEAD", 100)
	d := raw(t, q, "X: 1", make([]byte, 101))
	if err := q.Bury(t.Context(), d, "odd"); !errors.Is(err, job.ErrUnburiable) {
		t.Errorf("error %v", err)
	}
}

// An event that somebody else has stored must not keep a job from its end.
func TestLastWIDOfAnEventThatCannotBeRead(t *testing.T) {
	q := open(t, connect(t, servers.NATS(t)), config())
	if _, err := q.js.Publish(t.Context(), q.names.eventSubject(job.Succeeded, "a"), []byte{0xc1}); err != nil {
		t.Fatal(err)
	}
	if got, err := q.LastWID(t.Context(), "a"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
