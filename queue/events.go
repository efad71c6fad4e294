package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

const (
	contentType = "Content-Type"
	traceparent = "traceparent"
	cePrompted  = "ce-prompted"

	maxSubject = 4000 // bytes; the server's limit of a protocol line is 4096
	lookBatch  = 256
)

// Publish implements [worker.Queue]. Acknowledgements are pipelined: a slow one holds
// up its own event alone.
func (q *Queue) Publish(ctx context.Context, e *worker.Event) error {
	msg, err := q.message(e)
	if err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	future, err := q.js.PublishMsgAsync(msg)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("publish event: %w: %d bytes", worker.ErrUnsendable, len(msg.Data))
	case err != nil:
		return fmt.Errorf("publish event: %w", err)
	}
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return fmt.Errorf("publish event: %w", explain(q.nc, err))
	case <-ctx.Done():
		return fmt.Errorf("publish event: %w", explain(q.nc, context.Cause(ctx)))
	}
}

func (q *Queue) message(e *worker.Event) (*nats.Msg, error) {
	subject := q.names.eventSubject(e.Outcome, e.WcID)
	if len(subject) > maxSubject {
		return nil, fmt.Errorf("%w: a subject of %d bytes", worker.ErrUnsendable, len(subject))
	}
	data, err := e.Encode(q.config.EventEncoding)
	if err != nil { // it would not get better
		return nil, fmt.Errorf("%w: %w", worker.ErrUnsendable, err)
	}
	media := q.config.EventEncoding.ContentType()
	pairs := [...][2]string{
		{nats.MsgIdHdr, e.ID}, {contentType, media},
		{"ce-specversion", "1.0"}, {"ce-id", e.ID}, {"ce-source", "/relogin/" + string(q.names)},
		{"ce-type", "relogin." + string(e.Outcome)}, {"ce-subject", headerValue(e.WcID)},
		{"ce-time", e.FinishedAt.UTC().Format(time.RFC3339Nano)}, {"ce-datacontenttype", media},
		{cePrompted, strconv.FormatBool(e.Prompted)}, {traceparent, headerValue(e.Traceparent)},
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

// headerValue percent-encodes what the CloudEvents HTTP binding, to which the NATS
// binding refers, does not allow in a header: all but U+0021 to U+007E, and '"' and '%'.
func headerValue(s string) string {
	const hex = "0123456789ABCDEF"
	if !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '%' }) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// Published implements [worker.Queue]. The account's last event tells, unless it is another
// job's of that time: then the headers of all of them are read. Whoever confirms for longer
// than a minute is looked for here, so it matters that the first is one small request, where
// the second is a consumer of its own.
func (q *Queue) Published(ctx context.Context, wcID, eventID string, since time.Time) (bool, error) {
	since = since.Add(-q.config.DuplicateWindow / 2)
	last, err := q.events.GetLastMsgForSubject(ctx, q.names.accountEvents(wcID))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for event %s: %w", eventID, explain(q.nc, err))
	case last.Time.Before(since):
		return false, nil
	case last.Header.Get(nats.MsgIdHdr) == eventID:
		return true, nil
	}
	return q.among(ctx, wcID, eventID, since)
}

// among reads the headers of the account's events.
func (q *Queue) among(ctx context.Context, wcID, eventID string, since time.Time) (found bool, err error) {
	consumer, err := q.events.CreateConsumer(ctx, jetstream.ConsumerConfig{
		FilterSubject: q.names.accountEvents(wcID), AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return false, fmt.Errorf("look for event %s: %w", eventID, explain(q.nc, err))
	}
	info := consumer.CachedInfo()
	defer func() {
		// What is left of the consumer ends by its threshold.
		_ = q.events.DeleteConsumer(context.WithoutCancel(ctx), info.Name)
	}()
	for left := int(info.NumPending); left > 0; {
		batch, err := consumer.Fetch(min(left, lookBatch), jetstream.FetchContext(ctx))
		if err != nil {
			return false, fmt.Errorf("look for event %s: %w", eventID, err)
		}
		read := 0
		for msg := range batch.Messages() {
			read++
			found = found || msg.Headers().Get(nats.MsgIdHdr) == eventID
		}
		if found {
			return true, nil
		}
		if read == 0 {
			return false, fmt.Errorf("look for event %s: %d events could not be read: %w", eventID, left, batch.Error())
		}
		left -= read
	}
	return false, nil
}

// LastWID implements [worker.Queue].
func (q *Queue) LastWID(ctx context.Context, wcID string) (string, error) {
	msg, err := q.events.GetLastMsgForSubject(ctx, q.names.eventSubject(worker.Succeeded, wcID))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read last login: %w", err)
	}
	e, err := worker.DecodeEvent(msg.Data, msg.Header.Get(contentType))
	if err != nil || e.Login == nil {
		return "", err
	}
	return e.Login.WID, nil
}
