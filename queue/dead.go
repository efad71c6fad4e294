package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/net/http/httpguts"

	"github.com/relogin/relogin/worker/job"
)

const (
	maxReason   = 1024 // bytes
	shortReason = 128  // bytes, where there is no room for more
	maxMsgID    = 128  // bytes of one that may be a job's id

	msgIDHeader      = "Relogin-Msg-Id"
	reasonHeader     = "Relogin-Reason"
	consumerHeader   = "Relogin-Consumer"
	streamHeader     = "Relogin-Stream"
	sequenceHeader   = "Relogin-Sequence"
	deliveriesHeader = "Relogin-Deliveries"
	storedAtHeader   = "Relogin-Stored-At"
)

// Bury implements worker.Queue. What is sent again within two minutes is stored once.
func (q *Queue) Bury(ctx context.Context, d *job.Delivery, reason string) error {
	if err := bury(ctx, q.js, q.names.deadSubject(d.Lane), "", d, reason); err != nil {
		return fmt.Errorf("bury job: %w", withPermissionHint(q.nc, err))
	}
	return nil
}

// bury stores what that consumer or, where it is empty, a worker could not process, with as many
// headers as the server takes. Its error wraps [job.ErrUnburiable] for what is too large without any.
func bury(ctx context.Context, js jetstream.JetStream, subject, consumer string, d *job.Delivery, reason string) error {
	var err error
	for _, header := range letterHeaders(d, consumer, reason) {
		_, err = js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: header, Data: d.Data})
		if err == nil || !tooLarge(err) {
			return err
		}
	}
	return fmt.Errorf("%w: %d bytes: %w", job.ErrUnburiable, len(d.Data), err)
}

// letterHeaders returns the headers of a dead letter, and smaller ones to try in their place.
func letterHeaders(d *job.Delivery, consumer, reason string) []nats.Header {
	id := fmt.Sprintf("%s-%d-%d", d.Stream, d.Sequence, d.StoredAt.UnixNano())
	if consumer != "" { // several may bury the same event
		id += "-" + consumer
	}
	bare := nats.Header{nats.MsgIdHdr: {id}}
	few := nats.Header{
		nats.MsgIdHdr: {id}, reasonHeader: {oneLine(reason, maxReason)},
		streamHeader: {d.Stream}, sequenceHeader: {strconv.FormatUint(d.Sequence, 10)},
		deliveriesHeader: {strconv.Itoa(d.Attempts)}, storedAtHeader: {d.StoredAt.UTC().Format(time.RFC3339Nano)},
	}
	if consumer != "" {
		few.Set(consumerHeader, consumer)
	}
	if d.MsgID != "" && len(d.MsgID) <= maxMsgID {
		few.Set(msgIDHeader, d.MsgID)
	}
	all, fewer := passable(d.Header), maps.Clone(few)
	maps.Copy(all, few)
	if d.MsgID != "" {
		all.Set(msgIDHeader, d.MsgID)
	}
	fewer.Set(reasonHeader, oneLine(reason, shortReason))
	return []nats.Header{all, few, fewer, bare, nil}
}

// reserved are the headers that mean something to the server, in a dead letter, or to clients: one
// takes a message with a Status and no body for the server's. Some do not tell cases apart.
var reserved = regexp.MustCompile(`^(?i:nats-.*|kv-.*|relogin-.*|status)$`)

// passable returns a copy of a message's headers without those that are reserved, or would
// keep a message from being written or stored.
func passable(message nats.Header) nats.Header {
	header := make(nats.Header, len(message)+8)
	for key, values := range message {
		if httpguts.ValidHeaderFieldName(key) && !reserved.MatchString(key) {
			header[key] = values
		}
	}
	return header
}

// oneLine returns s without control characters and cut to so many bytes.
func oneLine(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), unicode.IsControl), "; ")
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// How a server refuses a message for its size, by nats-server's errors.json. Its other refusals,
// as for a full store, pass, or are of headers that this package does not set.
const (
	codeMessageTooLarge jetstream.ErrorCode = 10054 // the stream's max_msg_size
	codeHeadersTooLarge jetstream.ErrorCode = 10097 // more than 64 KiB
	codeStoreFailed     jetstream.ErrorCode = 10077 // many reasons, told apart by the text
)

// tooLarge tells whether a message was refused for its size: no try will store it.
func tooLarge(err error) bool {
	var refusal *jetstream.APIError
	if !errors.As(err, &refusal) {
		return errors.Is(err, nats.ErrMaxPayload)
	}
	code := refusal.ErrorCode
	return code == codeMessageTooLarge || code == codeHeadersTooLarge || code == codeStoreFailed && refusal.Description == "message too large"
}
