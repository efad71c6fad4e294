package test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// Whatever is published: the queue goes on, what can't be processed is kept with its
// reason and its bytes, and whoever can be told is told.
func TestBadInput(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.worker()
	pack := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type account = string
	dead := []struct {
		body []byte
		told account // who gets an invalid event; "": nobody can be told
	}{
		{nil, ""},
		{[]byte("hello"), ""},
		{[]byte{0x82, 0xa4, 'w', 'c', 'I', 'd', 0xa1, 'a', 0xa2, 'i'}, "a"},
		{[]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, ""},
		{[]byte{0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, 'x'}, ""},
		{append([]byte{0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x91}, 50000)...), ""},
		{[]byte(`{"wcId":"b","type":"two"}`), "b"},
		{[]byte(`{"wcId":["c"]}`), ""},
		{[]byte(`{"wcId":"d"`), ""},
		{pack(map[string]any{"wcId": "nul\x00"}), "nul\x00"},
		{pack(map[string]any{"wcId": strings.Repeat("x", 129)}), strings.Repeat("x", 129)},
		{pack(map[string]any{"wcId": strings.Repeat("ä", 5000)}), ""},
		{pack(map[string]any{"wcId": "e", "id": "two\nlines"}), "e"},
		{pack(map[string]any{"wcId": "f", "tenant": "nobody"}), "f"},
		{pack(map[string]any{"wcId": "g", "labels": map[string]string{strings.Repeat("k", 65): ""}}), "g"},
		{bytes.Repeat([]byte("z"), job.MaxJobBytes+1), ""},
	}
	told := 0
	for _, job := range dead {
		s.publish(job.body, nil)
		if job.told != "" {
			told++
		}
	}
	odd := []account{"a.b", "a b", "*", ">", "{}", "{a}:lock", "😀", "~YQ", `"`, "%41", strings.Repeat("界", 42)}
	for i, wcID := range odd {
		s.publish(pack(map[string]any{"wcId": wcID, "id": fmt.Sprintf("odd-%d", i)}), nil)
	}
	s.check(told + len(odd))
	for i, wcID := range odd {
		if e := s.event(fmt.Sprintf("odd-%d", i)); e.WcID != wcID || e.Outcome != job.Succeeded {
			t.Errorf("%q: %+v", wcID, e)
		}
	}
	for _, e := range s.events[:told] {
		if e.Outcome == job.Invalid && e.Message == "" {
			t.Errorf("no reason: %+v", e)
		}
	}
	letters := s.dead(len(dead))
	for i, job := range dead {
		reason := letters[i].Headers().Get("Relogin-Reason")
		if !bytes.Equal(letters[i].Data(), job.body) || reason == "" {
			t.Errorf("dead letter %d: %d bytes, reason %q", i, len(letters[i].Data()), reason)
		}
	}
}

func (s *setting) publish(body []byte, header nats.Header) {
	s.t.Helper()
	msg := &nats.Msg{Subject: s.name + ".jobs.normal", Data: body, Header: header}
	if _, err := s.js.PublishMsg(s.t.Context(), msg); err != nil {
		s.t.Fatal(err)
	}
}

// dead waits for the dead letters, and returns them in the order of their jobs.
func (s *setting) dead(n int) []jetstream.Msg {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), strings.ToUpper(s.name)+"_DEAD")
	if err != nil {
		s.t.Fatal(err)
	}
	servers.Eventually(s.t, fmt.Sprintf("%d dead letters", n), func() bool {
		info, err := stream.Info(s.t.Context())
		return err == nil && info.State.Msgs >= uint64(n)
	})
	consumer, err := stream.CreateConsumer(s.t.Context(), jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		s.t.Fatal(err)
	}
	batch, err := consumer.FetchNoWait(n + 1)
	if err != nil {
		s.t.Fatal(err)
	}
	bySequence := map[string]jetstream.Msg{}
	for msg := range batch.Messages() {
		bySequence[msg.Headers().Get("Relogin-Sequence")] = msg
	}
	var letters []jetstream.Msg
	for i := 1; len(letters) < len(bySequence); i++ {
		if msg, ok := bySequence[fmt.Sprint(i)]; ok {
			letters = append(letters, msg)
		}
	}
	if len(letters) != n {
		s.t.Fatalf("%d dead letters, want %d", len(letters), n)
	}
	return letters
}

// The same id is the same job, however often it is sent, and only in its account.
func TestRepeatedIDs(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{ConfirmAfter: 50 * time.Millisecond})
	s.worker()
	s.worker()
	publish := func() {
		s.publish([]byte(`{"wcId":"a","id":"same"}`), nil)
		s.publish([]byte(`{"wcId":"a"}`), nats.Header{"Nats-Msg-Id": {"header"}})
	}
	publish()
	s.check(2)
	for range 5 {
		publish()
		s.publish([]byte(`{"wcId":"a","id":"same","type":"wrong"}`), nil)
	}
	s.publish([]byte(`{"wcId":"b","id":"other"}`), nil)
	s.check(3)
	s.drained()
	s.check(3)
	if a := s.gateway.Account("a"); a.Prompts > 2 {
		t.Errorf("%d prompts for 2 jobs", a.Prompts)
	}
}

// A job that was invalid is welcome under its id once it is mended, and copies of the
// message that was wrong are one job.
func TestMendedJob(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{ConfirmAfter: 50 * time.Millisecond})
	s.worker()
	s.worker()
	for range 3 {
		s.publish([]byte(`{"wcId":"a","id":"mended","type":"wrong"}`), nil)
	}
	s.drained()
	s.publish([]byte(`{"wcId":"a","id":"mended"}`), nil)
	s.drained()
	outcomes := map[job.Outcome]int{}
	servers.Eventually(t, "both events", func() bool {
		clear(outcomes)
		for _, e := range s.stored() {
			outcomes[e.Outcome]++
		}
		return outcomes[job.Succeeded] == 1 && outcomes[job.Invalid] == 1
	})
	if a := s.gateway.Account("a"); a.Prompts != 1 {
		t.Errorf("%d prompts", a.Prompts)
	}
}

// A stream that was made anew counts from 1 again: its first job is another one than the
// first of the stream before.
func TestJobsStreamMadeAnew(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{ConfirmAfter: 50 * time.Millisecond})
	s.worker()
	s.publish([]byte(`{"wcId":"a"}`), nil)
	s.drained()
	before := s.stored()
	if len(before) != 1 || before[0].JobID != strings.ToUpper(s.name)+"_JOBS-1" {
		t.Fatalf("events %+v", before)
	}
	if err := s.js.DeleteStream(t.Context(), strings.ToUpper(s.name)+"_JOBS"); err != nil {
		t.Fatal(err)
	}
	s.worker() // sets the stream up again
	s.publish([]byte(`{"wcId":"a"}`), nil)
	servers.Eventually(t, "the second job's event", func() bool { return len(s.stored()) == 2 })
	if after := s.stored(); after[1].JobID != before[0].JobID || after[1].ID == before[0].ID {
		t.Errorf("events %+v", after)
	}
}

// drained waits until the queue is empty.
func (s *setting) drained() {
	s.t.Helper()
	servers.Eventually(s.t, "the queue to be empty", func() bool {
		stream, err := s.js.Stream(s.t.Context(), strings.ToUpper(s.name)+"_JOBS")
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
}
