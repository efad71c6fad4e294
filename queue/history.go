package queue

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// history is what was read of an account's events: all that were stored from a time on,
// up to a sequence.
type history struct {
	subject string
	users   int       // guarded by the lock of lookups, as left is
	left    time.Time // when the last user left

	turn sync.Mutex // of the reading; it guards from, upto and at
	from time.Time  // zero: nothing was read
	upto uint64     // 0: no event was read
	at   time.Time  // when upto was stored

	mu   sync.Mutex
	next *reading           // that has not started
	ids  map[eventKey]int64 // when the last event of that id was stored, in Unix nanoseconds
}

// join returns the account's next reading, which has not started yet. The first one who
// joins it starts it.
func (h *history) join(event wanted) (r *reading, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = h.next == nil
	if first {
		h.next = &reading{since: event.since, done: make(chan struct{})}
	}
	r = h.next
	if event.since.Before(r.since) {
		r.since = event.since
	}
	r.wanted = append(r.wanted, event)
	return r, first
}

// begin lets nobody join the next reading any more: what is stored from now on it may not see.
func (h *history) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = nil
}

// hasAll tells whether all the events were read.
func (h *history) hasAll(events ...wanted) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range events {
		if stored, ok := h.ids[event.key]; !ok || time.Unix(0, stored).Before(event.since) {
			return false
		}
	}
	return true
}

// add remembers an event.
func (h *history) add(header nats.Header, stored time.Time) {
	key := keyOf(header.Get(nats.MsgIdHdr))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids[key] = max(h.ids[key], stored.UnixNano())
}

func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ids)
}

func (h *history) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from, h.upto, h.ids = time.Time{}, 0, map[eventKey]int64{}
}

// disagrees tells that the stream is not the one that was read, since its numbers are
// given again. A replica that lags behind is no reason to forget anything.
func (h *history) disagrees(last *jetstream.RawStreamMsg) bool {
	return h.upto > 0 && (last.Sequence < h.upto && last.Time.After(h.at) || last.Sequence == h.upto && !last.Time.Equal(h.at))
}

// isUpToDate tells that all events since that time were read.
func (h *history) isUpToDate(last *jetstream.RawStreamMsg, since time.Time) bool {
	return !h.from.IsZero() && !since.Before(h.from) && last.Sequence <= h.upto
}

// start returns where the next reading starts: after the last one, unless that did not
// reach back far enough. Then all is read again, from twice as far back as is asked for,
// so that this happens a few times only however the look-ups are ordered.
func (h *history) start(since, now time.Time) jetstream.ConsumerConfig {
	switch {
	case h.from.IsZero():
		h.from = since
	case since.Before(h.from):
		h.from, h.upto = since.Add(-now.Sub(since)), 0
	}
	c := jetstream.ConsumerConfig{
		FilterSubject: h.subject, AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &h.from,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	}
	if h.upto > 0 {
		c.DeliverPolicy, c.OptStartTime, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, nil, h.upto+1
	}
	return c
}

// advance remembers an event that was read, and how far that was.
func (h *history) advance(msg *nats.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return // it is no event
	}
	h.upto, h.at = meta.Sequence.Stream, meta.Timestamp
	h.add(msg.Header, meta.Timestamp)
}
