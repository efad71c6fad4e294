package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	contentType = "Content-Type"
	cePrompted  = "ce-prompted"

	maxSubject = 4000 // bytes; the server's limit of a protocol line is 4096
)

// Publish implements worker.Queue. A slow acknowledgement holds up its own event alone.
func (q *Queue) Publish(ctx context.Context, e *job.Event) error {
	msg, err := q.message(e)
	var future jetstream.PubAckFuture
	if err == nil {
		future, err = q.js.PublishMsgAsync(msg)
	}
	if err == nil {
		_, err = await(ctx, future)
	}
	if tooLarge(err) {
		err = fmt.Errorf("%w: %d bytes: %w", job.ErrUnsendable, msg.Size(), err)
	}
	if err != nil {
		return fmt.Errorf("publish event: %w", withPermissionHint(q.nc, err))
	}
	return nil
}

func (q *Queue) message(e *job.Event) (*nats.Msg, error) {
	if e == nil {
		return nil, fmt.Errorf("%w: it is nil", job.ErrUnsendable)
	}
	if err := checkOutcome(e.Outcome); err != nil { // its subject would be nobody's
		return nil, fmt.Errorf("%w: %w", job.ErrUnsendable, err)
	}
	subject := q.names.eventSubject(e.Outcome, e.WcID)
	if len(subject) > maxSubject {
		return nil, fmt.Errorf("%w: a subject of %d bytes", job.ErrUnsendable, len(subject))
	}
	data, err := e.Encode(q.config.EventEncoding)
	if err != nil { // it would not get better
		return nil, fmt.Errorf("%w: %w", job.ErrUnsendable, err)
	}
	media := q.config.EventEncoding.ContentType()
	pairs := [...][2]string{
		{nats.MsgIdHdr, e.ID}, {contentType, media},
		{"ce-specversion", "1.0"}, {"ce-id", e.ID}, {"ce-source", "/relogin/" + string(q.names)},
		{"ce-type", "relogin." + string(e.Outcome)}, {"ce-subject", headerValue(e.WcID)},
		{"ce-time", e.FinishedAt.UTC().Format(time.RFC3339Nano)}, {"ce-datacontenttype", media},
		{cePrompted, strconv.FormatBool(e.Prompted)}, {traceparent, e.Traceparent},
	}
	header, values := make(nats.Header, len(pairs)), make([]string, len(pairs)) // one array for all
	for i, pair := range pairs {
		if pair[1] != "" {
			values[i] = pair[1]
			header[pair[0]] = values[i : i+1 : i+1]
		}
	}
	return &nats.Msg{Subject: subject, Header: header, Data: data}, nil
}

// decodeEvent reads a stored event. An outcome that this version does not know is an error:
// who reacts to outcomes would pass over it without a word.
func decodeEvent(data []byte, header nats.Header) (*job.Event, error) {
	e, err := job.DecodeEvent(data, header.Get(contentType))
	if err != nil {
		return nil, err
	}
	if err := checkOutcome(e.Outcome); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

func checkOutcome(outcome job.Outcome) error {
	if all := job.Outcomes(); !slices.Contains(all, outcome) {
		return fmt.Errorf("unknown outcome %q: this version knows %v", outcome, all)
	}
	return nil
}

// headerValue percent-encodes what the CloudEvents HTTP binding, to which the NATS
// binding refers, does not allow in a header: all but U+0021 to U+007E, and '"' and '%'.
func headerValue(s string) string {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '%' }
	if !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if odd(rune(s[i])) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// Published implements worker.Queue. It blocks until the account's events that were
// stored before the call have been read; calls for one account share what was read. An
// error is returned when the server leaves a request unanswered for 10 seconds, and once the
// queue is closed.
func (q *Queue) Published(ctx context.Context, wcID, eventID string, since time.Time) (bool, error) {
	if q.closed.Load() {
		return false, fmt.Errorf("look for event %s: the queue is closed", eventID)
	}
	found, err := q.lookups.find(ctx, q.names.accountEvents(wcID), eventID, since.Add(-q.config.DuplicateWindow/2))
	if err != nil {
		return false, fmt.Errorf("look for event %s: %w", eventID, err)
	}
	return found, nil
}

// LastWID implements worker.Queue. Anybody may have stored an event that can't be read: it tells nothing.
func (q *Queue) LastWID(ctx context.Context, wcID string) (string, error) {
	msg, err := q.events.GetLastMsgForSubject(ctx, q.names.eventSubject(job.Succeeded, wcID))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read last login: %w", err)
	}
	e, err := decodeEvent(msg.Data, msg.Header)
	if err != nil || e.Login == nil {
		return "", nil
	}
	return e.Login.WID, nil
}
