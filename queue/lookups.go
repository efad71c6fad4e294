package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	lookBatch   = 1024             // events in one pull request
	lookTimeout = 10 * time.Second // of a reading's first request, and of what follows
	maxReadings = 16               // consumers of this process at once; a stream has 1,000 for all pods unless set
	lookKeep    = 10 * time.Second // how long what was read of an account is kept after it was last used
	maxKept     = 1 << 20          // event ids of accounts that are not in use; one takes 34 to 53 bytes, measured
)

// lookups finds events by their ids. Those who look for events of one account take turns
// at what was read of it. The server is asked for one of them only when it was not since
// they came, and only what was stored after the reading before is read. So each sees all
// that was stored before it came, and n look-ups among n events cost n reads, and not n².
type lookups struct {
	events jetstream.Stream
	nc     *nats.Conn
	slots  chan struct{} // one for each consumer

	mu       sync.Mutex
	accounts map[string]*history // by the subject of the account's events
}

func newLookups(nc *nats.Conn, events jetstream.Stream) *lookups {
	return &lookups{events: events, nc: nc, slots: make(chan struct{}, maxReadings), accounts: map[string]*history{}}
}

// find tells whether the event is among those of the subject that were stored since that
// time. An older one of the same id does not count: a job's id may be given again.
func (l *lookups) find(ctx context.Context, subject, eventID string, since time.Time) (bool, error) {
	came, event := time.Now(), keyOf(eventID)
	h := l.history(subject)
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if !came.Before(h.asked) {
		h.asked = time.Now()
		h.err = l.ask(ctx, h)
	}
	if h.err == nil && !h.tells(event, since) {
		h.err = l.read(ctx, h, since)
	}
	if ctx.Err() != nil { // its error is nobody else's
		h.asked = time.Time{}
	}
	if h.has(event, since) {
		return true, nil
	}
	return false, h.err
}

// ask learns of the account's last event, which mostly tells that there is nothing to read.
func (l *lookups) ask(ctx context.Context, h *history) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	last, err := l.events.GetLastMsgForSubject(ctx, h.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		h.forget()
		return nil
	case err != nil:
		return withPermissionHint(l.nc, err)
	// The stream was made anew, since numbers are given again. A replica that lags is no reason to forget.
	case last.Sequence < h.newest && last.Time.After(h.newestAt), last.Sequence == h.newest && !last.Time.Equal(h.newestAt):
		h.forget()
	}
	h.add(last.Header, last.Sequence, last.Time)
	return nil
}

// read reads the headers of the account's events by a consumer that is gone afterwards.
// What was read before an error counts: the next reading goes on from there.
func (l *lookups) read(ctx context.Context, h *history, since time.Time) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	consumer, err := l.events.CreateConsumer(ctx, h.unread(since))
	if err != nil {
		return withPermissionHint(l.nc, err)
	}
	info := consumer.CachedInfo()
	// What is left of the consumer ends by its threshold.
	defer func() { _ = l.events.DeleteConsumer(context.WithoutCancel(ctx), info.Name) }()
	for left := int(info.NumPending); left > 0; {
		before := left
		err := pull(ctx, l.nc, info.Stream, info.Name, min(left, lookBatch), lookTimeout, func(msg *nats.Msg, meta *nats.MsgMetadata) {
			left--
			h.upto = meta.Sequence.Stream
			h.add(msg.Header, meta.Sequence.Stream, meta.Timestamp)
		})
		switch {
		case err != nil:
			return withPermissionHint(l.nc, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case left == before:
			return fmt.Errorf("%d events could not be read", left)
		}
	}
	return nil
}

func (l *lookups) history(subject string) *history {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.accounts[subject]
	if h == nil {
		h = &history{subject: subject, turn: make(chan struct{}, 1), ids: map[eventKey]int64{}}
		l.accounts[subject] = h
	}
	h.used = time.Now()
	return h
}

// sweep forgets accounts that were not used for a while, and all that are not in use when
// that is too much. Who has just got an account that is forgotten reads it for himself.
func (l *lookups) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := 0
	maps.DeleteFunc(l.accounts, func(_ string, h *history) bool {
		select {
		case h.turn <- struct{}{}:
			defer func() { <-h.turn }()
		default:
			return false
		}
		kept += len(h.ids)
		return now.Sub(h.used) >= lookKeep
	})
	if kept > maxKept {
		maps.DeleteFunc(l.accounts, func(_ string, h *history) bool { return len(h.turn) == 0 })
	}
}

// history is what was read of an account's events: all from a time on, up to a sequence.
type history struct {
	subject string
	used    time.Time // guarded by the lock of lookups

	turn     chan struct{} // has an element while somebody's turn guards what follows
	asked    time.Time     // when the server was asked last; err is how that and the reading after it ended
	err      error
	newest   uint64 // the sequence of the last event that is known; 0: none is
	newestAt time.Time
	from     time.Time          // zero: nothing was read
	upto     uint64             // 0: no event was read
	ids      map[eventKey]int64 // when the last event of that id was stored, in Unix nanoseconds
}

// eventKey stands for an event's id, whatever its length: anybody may have stored one.
type eventKey [16]byte

func keyOf(eventID string) eventKey {
	sum := sha256.Sum256([]byte(eventID))
	return eventKey(sum[:16])
}

// has tells whether the event is known, and was stored at that time or later.
func (h *history) has(event eventKey, since time.Time) bool {
	stored, ok := h.ids[event]
	return ok && !time.Unix(0, stored).Before(since)
}

// tells tells whether there is no need to read, since what is known of the account answers.
func (h *history) tells(event eventKey, since time.Time) bool {
	upToDate := !h.from.IsZero() && !since.Before(h.from) && h.newest <= h.upto
	return upToDate || h.newestAt.Before(since) || h.has(event, since)
}

func (h *history) add(header nats.Header, sequence uint64, stored time.Time) {
	key := keyOf(header.Get(nats.MsgIdHdr))
	h.ids[key] = max(h.ids[key], stored.UnixNano())
	if sequence >= h.newest {
		h.newest, h.newestAt = sequence, stored
	}
}

func (h *history) forget() {
	h.newest, h.newestAt, h.from, h.upto, h.ids = 0, time.Time{}, time.Time{}, 0, map[eventKey]int64{}
}

// unread returns where the next reading starts: after the last one, unless that did not
// reach back far enough. Then all is read again, from twice as far back as is asked for,
// so that this happens a few times only however the look-ups are ordered.
func (h *history) unread(since time.Time) jetstream.ConsumerConfig {
	switch {
	case h.from.IsZero():
		h.from = since
	case since.Before(h.from):
		h.from, h.upto = since.Add(-h.newestAt.Sub(since)), 0
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
