package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker"
)

const maxReason = 1024 // bytes

// Bury implements [worker.Queue]. The dead letter is stored once, however often it is
// sent within two minutes.
func (q *Queue) Bury(ctx context.Context, d *worker.Delivery, reason string) error {
	header := nats.Header{}
	maps.Copy(header, d.Header)
	for key := range header {
		if strings.HasPrefix(key, "Nats-") { // would mean something to the server
			header.Del(key)
		}
	}
	if d.MsgID != "" {
		header.Set("Relogin-Msg-Id", d.MsgID)
	}
	header.Set("Relogin-Reason", oneLine(reason))
	header.Set("Relogin-Stream", d.Stream)
	header.Set("Relogin-Sequence", strconv.FormatUint(d.Sequence, 10))
	header.Set("Relogin-Deliveries", strconv.Itoa(d.Attempts))
	header.Set("Relogin-Stored-At", d.StoredAt.UTC().Format(time.RFC3339Nano))
	header.Set(nats.MsgIdHdr, fmt.Sprintf("%s-%d-%d", d.Stream, d.Sequence, d.StoredAt.UnixNano()))
	msg := &nats.Msg{Subject: q.names.deadSubject(d.Lane), Header: header, Data: d.Data}
	_, err := q.js.PublishMsg(ctx, msg)
	if errors.Is(err, nats.ErrMaxPayload) { // the job just fitted, without the reason it does
		msg.Header = nats.Header{nats.MsgIdHdr: header[nats.MsgIdHdr]}
		_, err = q.js.PublishMsg(ctx, msg)
	}
	if err != nil {
		return fmt.Errorf("bury job: %w", explain(q.nc, err))
	}
	return nil
}

func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), unicode.IsControl), "; ")
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}
