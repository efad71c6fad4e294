//go:build linux

package faults

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// drained waits until every job has its event and has left the queue.
func (w *world) drained() bool {
	count := func(stream string) (uint64, bool) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s, err := w.js.Stream(ctx, strings.ToUpper(namespace)+stream)
		if err != nil {
			return 0, false
		}
		return s.CachedInfo().State.Msgs, true
	}
	return servers.Poll(3*time.Minute, func() bool {
		left, ok := count("_JOBS")
		events, known := count("_EVENTS")
		jobs := w.load.stored()
		return ok && known && left == 0 && events >= uint64(jobs)
	})
}

// stored is an event as it is in the stream.
type stored struct {
	*job.Event
	at time.Time
}

func (e stored) String() string {
	text, _ := e.Encode(job.EncodingJSON)
	return e.at.Format(stamp) + " " + string(text)
}

// events reads the whole stream, message by message, with nothing of the product's but
// the decoder.
func (w *world) events() (all []stored) {
	var stream jetstream.Stream
	var err error
	ok := servers.Poll(time.Minute, func() bool {
		stream, err = w.js.Stream(w.t.Context(), strings.ToUpper(namespace)+"_EVENTS")
		return err == nil
	})
	if !ok {
		w.t.Fatal(err)
	}
	for n := uint64(1); n <= stream.CachedInfo().State.LastSeq; n++ {
		var msg *jetstream.RawStreamMsg
		ok := servers.Poll(20*time.Second, func() bool { msg, err = stream.GetMsg(w.t.Context(), n); return err == nil })
		if !ok {
			w.t.Fatalf("read event %d: %v", n, err)
		}
		e, err := job.DecodeEvent(msg.Data, msg.Header.Get("Content-Type"))
		if err != nil {
			w.t.Fatal(err)
		}
		if id := msg.Header.Get(nats.MsgIdHdr); id != e.ID {
			w.t.Errorf("event %s was stored under the id %q", e.ID, id)
		}
		all = append(all, stored{e, msg.Time})
	}
	return all
}
