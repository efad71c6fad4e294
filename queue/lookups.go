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
	lookKeep    = 10 * time.Second // how long what was read of an account is kept after its last use
	maxKept     = 1 << 20          // event ids of accounts that are not in use; one takes 34 to 53 bytes, measured
)

// lookups finds events by their ids. Those who look for events of one account share what
// was read of it: a reading serves all who came before it started, and reads only what
// was stored after the one before. So each sees all that was stored before it came, and n
// look-ups among n events cost n reads, and not n².
type lookups struct {
	events jetstream.Stream
	nc     *nats.Conn
	run    func(func(ctx context.Context)) // in a goroutine that the queue waits for
	slots  chan struct{}                   // one for each consumer

	mu       sync.Mutex
	closed   bool
	accounts map[string]*history // by the subject of the account's events
}

func newLookups(q *Queue, run func(func(context.Context))) *lookups {
	return &lookups{events: q.events, nc: q.nc, run: run, slots: make(chan struct{}, maxReadings), accounts: map[string]*history{}}
}

// reading is what several look-ups wait for.
type reading struct {
	since  time.Time // the earliest that any of them needs
	wanted []wanted
	done   chan struct{} // closed at its end; err is read after that
	err    error
}

// wanted is an event that was stored at that time or later.
type wanted struct {
	key   eventKey
	since time.Time
}

// find tells whether the event is among those of the subject that were stored since that
// time. An older one of the same id does not count: a job's id may be given again.
func (l *lookups) find(ctx context.Context, subject, eventID string, since time.Time) (bool, error) {
	event := wanted{keyOf(eventID), since}
	h := l.enter(subject)
	defer l.leave(h)
	r, first := h.join(event)
	if first {
		l.start(h, r)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if h.hasAll(event) {
		return true, nil
	}
	return false, r.err
}

// start runs the reading in a goroutine that the queue waits for when it is closed.
func (l *lookups) start(h *history, r *reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		h.begin()
		r.err = errors.New("the queue is closed")
		close(r.done)
		return
	}
	l.run(func(ctx context.Context) {
		defer close(r.done)
		h.turn.Lock()
		defer h.turn.Unlock()
		h.begin()
		r.err = l.read(ctx, h, r)
	})
}

// read brings the history up to date. Mostly the account's last event tells, by one small
// request, that there is nothing to read.
func (l *lookups) read(ctx context.Context, h *history, r *reading) error {
	last, err := l.last(ctx, h.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		h.forget()
		return nil
	case err != nil:
		return withPermissionHint(l.nc, err)
	case h.disagrees(last):
		h.forget()
	}
	h.add(last.Header, last.Time)
	if last.Time.Before(r.since) || h.isUpToDate(last, r.since) || h.hasAll(r.wanted...) {
		return nil
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return l.consume(ctx, h, h.start(r.since, last.Time))
}

func (l *lookups) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return l.events.GetLastMsgForSubject(ctx, subject)
}

// consume reads the headers of the account's events by a consumer that is gone afterwards.
// What was read before an error counts: the next reading goes on from there.
func (l *lookups) consume(ctx context.Context, h *history, from jetstream.ConsumerConfig) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	consumer, err := l.events.CreateConsumer(ctx, from)
	if err != nil {
		return withPermissionHint(l.nc, err)
	}
	info := consumer.CachedInfo()
	// What is left of the consumer ends by its threshold.
	defer func() { _ = l.events.DeleteConsumer(context.WithoutCancel(ctx), info.Name) }()
	for left := int(info.NumPending); left > 0; {
		read := 0
		r := request{Batch: min(left, lookBatch), Expires: lookTimeout, NoWait: true}
		err := pull(ctx, l.nc, info.Stream, info.Name, r, func(msg *nats.Msg) {
			read++
			h.advance(msg)
		})
		switch {
		case err != nil:
			return withPermissionHint(l.nc, err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case read == 0:
			return fmt.Errorf("%d events could not be read", left)
		}
		left -= read
	}
	return nil
}

// enter returns what was read of the account. The caller calls leave.
func (l *lookups) enter(subject string) *history {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.accounts[subject]
	if h == nil {
		h = &history{subject: subject, ids: map[eventKey]int64{}}
		l.accounts[subject] = h
	}
	h.users++
	return h
}

func (l *lookups) leave(h *history) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.users--
	h.left = time.Now()
}

// clean forgets what is not needed until ctx ends. No reading starts after that.
func (l *lookups) clean(ctx context.Context) {
	ticker := time.NewTicker(lookKeep / 4)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			l.sweep(now)
		case <-ctx.Done():
			l.mu.Lock()
			l.closed = true
			l.mu.Unlock()
			return
		}
	}
}

// sweep forgets accounts that were not in use for a while, and all that are not in use
// when that is too much.
func (l *lookups) sweep(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := 0
	maps.DeleteFunc(l.accounts, func(_ string, h *history) bool {
		if h.users > 0 {
			return false
		}
		kept += h.size()
		return now.Sub(h.left) >= lookKeep
	})
	if kept > maxKept {
		maps.DeleteFunc(l.accounts, func(_ string, h *history) bool { return h.users == 0 })
	}
}

// eventKey stands for an event's id, whatever its length: anybody may have stored one.
type eventKey [16]byte

func keyOf(eventID string) eventKey {
	sum := sha256.Sum256([]byte(eventID))
	return eventKey(sum[:16])
}
