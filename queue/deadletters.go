package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// DeadLetters reads the dead stream of a namespace, and brings back or removes what is
// there. It is safe for concurrent use, also by several programs at once.
type DeadLetters struct {
	client
	stream jetstream.Stream
}

// OpenDeadLetters returns the dead letters of the namespace; an empty one is the default. It
// blocks until the server has said that their stream is there. The connection stays the caller's.
func OpenDeadLetters(ctx context.Context, nc *nats.Conn, namespace string) (*DeadLetters, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("open dead letters: %w", err)
	}
	stream, err := c.js.Stream(ctx, c.names.dead())
	if err != nil {
		return nil, fmt.Errorf("open stream %s (relogin setup creates it): %w", c.names.dead(), withPermissionHint(nc, err))
	}
	return &DeadLetters{c, stream}, nil
}

// DeadLetter is a job that no worker could process or, where Consumer is set, an event that
// this durable consumer could not handle.
type DeadLetter struct {
	Sequence uint64    // in the dead stream
	StoredAt time.Time // when it got there, by the server's clock
	Lane     job.Lane  // empty for an event
	Consumer string    // empty for a job
	Reason   string    // empty where the letter was too large to be stored with a reason

	// What could be read of the body, whatever is wrong with it. JobID is the id that workers
	// gave the job, as in their logs and events.
	JobID  string
	WcID   string
	Tenant string
	Labels map[string]string

	// Where it was before. Each is zero where the letter does not tell.
	Origin Origin

	Header nats.Header // as stored, with the headers of the dead letter itself
	Data   []byte      // the body, untouched
}

// Origin says where a dead letter was before.
type Origin struct {
	Stream     string
	Sequence   uint64
	StoredAt   time.Time
	Deliveries int
	MsgID      string // its Nats-Msg-Id
}

// DeadLetterFilter chooses dead letters: those that match all fields that are set. The zero
// value chooses all.
type DeadLetterFilter struct {
	Reason string   // a part of the reason, in upper or lower case
	Lane   job.Lane // of a job
	Tenant string   // as the job names it, or "default"
	WcID   string   // the account
	JobID  string
	Since  time.Time // got there then or later
	Before time.Time // got there before then
}

// Matches tells whether the filter chooses the letter.
func (f *DeadLetterFilter) Matches(l *DeadLetter) bool {
	return strings.Contains(strings.ToLower(l.Reason), strings.ToLower(f.Reason)) &&
		(f.Lane == "" || l.Lane == f.Lane) &&
		(f.Tenant == "" || l.Tenant == f.Tenant) &&
		(f.WcID == "" || l.WcID == f.WcID) &&
		(f.JobID == "" || l.JobID == f.JobID) &&
		(f.Since.IsZero() || !l.StoredAt.Before(f.Since)) &&
		(f.Before.IsZero() || l.StoredAt.Before(f.Before))
}

// ErrNoDeadLetter is returned for a sequence at which the dead stream has nothing.
var ErrNoDeadLetter = errors.New("there is no such dead letter")

// Get returns the dead letter of that sequence. The error wraps [ErrNoDeadLetter] where there
// is none.
func (d *DeadLetters) Get(ctx context.Context, sequence uint64) (*DeadLetter, error) {
	for l, err := range d.from(ctx, max(sequence, 1), "*", 1) {
		if err != nil {
			return nil, err
		}
		if l.Sequence == sequence {
			return l, nil
		}
	}
	return nil, fmt.Errorf("read dead letter %d of stream %s: %w", sequence, d.names.dead(), ErrNoDeadLetter)
}

// All returns the dead letters that the filter chooses, the oldest first, of those that are
// there when it begins: a job that is replayed and dies again is not among them once more. It
// keeps a few hundred in memory at once. An error is the last that it yields.
func (d *DeadLetters) All(ctx context.Context, f DeadLetterFilter) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		info, err := d.stream.Info(ctx)
		if err != nil {
			yield(nil, d.unreadable(err))
			return
		}
		last := info.State.LastSeq
		for l, err := range d.from(ctx, 1, cmp.Or(string(f.Lane), "*"), readBatch) {
			if err == nil && l.Sequence > last || (err != nil || f.Matches(l)) && !yield(l, err) {
				return
			}
		}
	}
}

func (d *DeadLetters) unreadable(err error) error {
	return fmt.Errorf("read dead letters of stream %s: %w", d.names.dead(), withPermissionHint(d.nc, err))
}

// from reads the dead letters of a lane from that sequence on, so many with each request.
func (d *DeadLetters) from(ctx context.Context, sequence uint64, lane string, batch int) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		for msg, err := range d.read(ctx, d.names.dead(), string(d.names)+".dead."+lane, sequence, batch) {
			if err != nil {
				yield(nil, d.unreadable(err))
				return
			}
			if !yield(d.letter(msg), nil) {
				return
			}
		}
	}
}

func (d *DeadLetters) letter(msg *jetstream.RawStreamMsg) *DeadLetter {
	l := &DeadLetter{
		Sequence: msg.Sequence, StoredAt: msg.Time, Header: msg.Header, Data: msg.Data,
		Reason: msg.Header.Get(reasonHeader), Consumer: msg.Header.Get(consumerHeader),
		Origin: Origin{Stream: msg.Header.Get(streamHeader), MsgID: msg.Header.Get(msgIDHeader)},
	}
	// What can't be read stays zero.
	l.Origin.Sequence, _ = strconv.ParseUint(msg.Header.Get(sequenceHeader), 10, 64)
	l.Origin.Deliveries, _ = strconv.Atoi(msg.Header.Get(deliveriesHeader))
	l.Origin.StoredAt, _ = time.Parse(time.RFC3339Nano, msg.Header.Get(storedAtHeader))
	if msg.Subject == d.names.deadEvents() {
		if e, err := job.DecodeEvent(msg.Data, msg.Header.Get(contentType)); err == nil {
			l.JobID, l.WcID, l.Tenant, l.Labels = e.JobID, e.WcID, e.Tenant, e.Labels
		}
		return l
	}
	l.Lane = job.Lane(strings.TrimPrefix(msg.Subject, d.names.deadSubject("")))
	delivery := job.Delivery{
		Data: msg.Data, ContentType: msg.Header.Get(contentType), MsgID: l.Origin.MsgID,
		Stream: l.Origin.Stream, Sequence: l.Origin.Sequence, StoredAt: l.Origin.StoredAt,
	}
	j, _ := delivery.Job() // the job has what could be read, and that it is wrong is known
	l.JobID, l.WcID, l.Tenant, l.Labels = j.ID, j.WcID, j.Tenant, j.Labels
	return l
}

// Count returns how many dead letters there are. It blocks until the server has answered.
func (d *DeadLetters) Count(ctx context.Context) (uint64, error) {
	info, err := d.stream.Info(ctx)
	if err != nil {
		return 0, d.unreadable(err)
	}
	return info.State.Msgs, nil
}
