package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/net/http/httpguts"

	"github.com/relogin/relogin/worker"
)

const (
	maxReason   = 1024 // bytes
	shortReason = 128  // bytes, where there is no room for more
	maxMsgID    = 128  // bytes of one that may be a job's id

	msgIDHeader    = "Relogin-Msg-Id"
	reasonHeader   = "Relogin-Reason"
	consumerHeader = "Relogin-Consumer"
)

// Bury implements [worker.Queue]. The dead letter is stored once, however often it is
// sent within two minutes. One that is too large is stored with less: without the job's
// headers, then with a short reason, then with its message id alone, then without headers.
func (q *Queue) Bury(ctx context.Context, d *worker.Delivery, reason string) error {
	letter := deadLetter{
		subject: q.names.deadSubject(d.Lane), reason: reason, header: d.Header, data: d.Data, msgID: d.MsgID,
		stream: d.Stream, sequence: d.Sequence, storedAt: d.StoredAt, deliveries: d.Attempts,
	}
	if err := letter.store(ctx, q.js); err != nil {
		return fmt.Errorf("bury job: %w", withPermissionHint(q.nc, err))
	}
	return nil
}

// deadLetter is a message that could not be processed.
type deadLetter struct {
	subject    string
	reason     string
	consumer   string // who could not process it; empty: a worker
	header     nats.Header
	data       []byte
	msgID      string
	stream     string
	sequence   uint64
	storedAt   time.Time
	deliveries int
}

// store stores the letter with as many of its headers as the server takes. It returns an
// error wrapping [worker.ErrUnburiable] when it is too large without any.
func (d *deadLetter) store(ctx context.Context, js jetstream.JetStream) error {
	var err error
	for _, header := range d.headers() {
		_, err = js.PublishMsg(ctx, &nats.Msg{Subject: d.subject, Header: header, Data: d.data})
		if err == nil || !tooLarge(err) {
			return err
		}
	}
	return fmt.Errorf("%w: %d bytes: %w", worker.ErrUnburiable, len(d.data), err)
}

// headers returns the headers of a dead letter, and what to do with in their place.
func (d *deadLetter) headers() []nats.Header {
	id := fmt.Sprintf("%s-%d-%d", d.stream, d.sequence, d.storedAt.UnixNano())
	if d.consumer != "" { // several may bury the same event
		id += "-" + d.consumer
	}
	bare := nats.Header{nats.MsgIdHdr: {id}}
	all, few, fewer := passable(d.header), nats.Header{}, nats.Header{}
	for _, header := range []nats.Header{all, few, fewer} {
		header.Set(nats.MsgIdHdr, id)
		header.Set(reasonHeader, oneLine(d.reason, maxReason))
		header.Set("Relogin-Stream", d.stream)
		header.Set("Relogin-Sequence", strconv.FormatUint(d.sequence, 10))
		header.Set("Relogin-Deliveries", strconv.Itoa(d.deliveries))
		header.Set("Relogin-Stored-At", d.storedAt.UTC().Format(time.RFC3339Nano))
		if d.consumer != "" {
			header.Set(consumerHeader, d.consumer)
		}
		if d.msgID != "" && len(d.msgID) <= maxMsgID {
			header.Set(msgIDHeader, d.msgID)
		}
	}
	if d.msgID != "" {
		all.Set(msgIDHeader, d.msgID)
	}
	fewer.Set(reasonHeader, oneLine(d.reason, shortReason))
	return []nats.Header{all, few, fewer, bare, nil}
}

// passable returns a copy of a message's headers without those that would keep a message from
// being written or stored, or mean something to the server, to clients, or in a dead letter.
func passable(message nats.Header) nats.Header {
	header := make(nats.Header, len(message)+8)
	for key, values := range message {
		if httpguts.ValidHeaderFieldName(key) && !means(key) {
			header[key] = values
		}
	}
	return header
}

// means tells the headers that have a meaning. In any case: who reads them may not tell
// cases apart. A client takes a message without a body and with a Status for one of the server's.
func means(key string) bool {
	key = strings.ToLower(key)
	for _, prefix := range []string{"nats-", "kv-", "relogin-"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return key == "status"
}

// oneLine returns s without control characters and cut to so many bytes.
func oneLine(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), unicode.IsControl), "; ")
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}
