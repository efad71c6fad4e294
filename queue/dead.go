package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"golang.org/x/net/http/httpguts"

	"github.com/relogin/relogin/worker"
)

const (
	maxReason   = 1024 // bytes
	shortReason = 128  // bytes, where there is no room for more
	maxMsgID    = 128  // bytes of one that may be a job's id

	msgIDHeader  = "Relogin-Msg-Id"
	reasonHeader = "Relogin-Reason"
)

// Bury implements [worker.Queue]. The dead letter is stored once, however often it is
// sent within two minutes. One that is too large is stored with less: without the job's
// headers, then with a short reason, then with its message id alone, then without headers.
func (q *Queue) Bury(ctx context.Context, d *worker.Delivery, reason string) error {
	var err error
	for _, header := range deadHeaders(d, reason) {
		_, err = q.js.PublishMsg(ctx, &nats.Msg{Subject: q.names.deadSubject(d.Lane), Header: header, Data: d.Data})
		if err == nil {
			return nil
		}
		if !tooLarge(err) {
			return fmt.Errorf("bury job: %w", explain(q.nc, err))
		}
	}
	return fmt.Errorf("bury job: %w: %d bytes: %w", worker.ErrUnburiable, len(d.Data), err)
}

// deadHeaders returns the headers of a dead letter, and what to do with in their place.
func deadHeaders(d *worker.Delivery, reason string) []nats.Header {
	id := fmt.Sprintf("%s-%d-%d", d.Stream, d.Sequence, d.StoredAt.UnixNano())
	bare := nats.Header{nats.MsgIdHdr: {id}}
	all, few, fewer := passable(d.Header), nats.Header{}, nats.Header{}
	for _, header := range []nats.Header{all, few, fewer} {
		header.Set(nats.MsgIdHdr, id)
		header.Set(reasonHeader, oneLine(reason, maxReason))
		header.Set("Relogin-Stream", d.Stream)
		header.Set("Relogin-Sequence", strconv.FormatUint(d.Sequence, 10))
		header.Set("Relogin-Deliveries", strconv.Itoa(d.Attempts))
		header.Set("Relogin-Stored-At", d.StoredAt.UTC().Format(time.RFC3339Nano))
		if d.MsgID != "" && len(d.MsgID) <= maxMsgID {
			header.Set(msgIDHeader, d.MsgID)
		}
	}
	if d.MsgID != "" {
		all.Set(msgIDHeader, d.MsgID)
	}
	fewer.Set(reasonHeader, oneLine(reason, shortReason))
	return []nats.Header{all, few, fewer, bare, nil}
}

// passable returns a copy of a job's headers without those that would keep a message from
// being written or stored, or mean something to the server, to clients, or in a dead letter.
func passable(job nats.Header) nats.Header {
	header := make(nats.Header, len(job)+8)
	for key, values := range job {
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
