package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// Take implements worker.Queue. What was on its way when ctx ended is returned too.
func (q *Queue) Take(ctx context.Context, lane job.Lane, n int, wait time.Duration) (taken []*job.Delivery, backlog int, err error) {
	err = pull(ctx, q.nc, q.names.jobs(), string(lane), n, wait, func(msg *nats.Msg, meta *nats.MsgMetadata) {
		d := newDelivery(q.nc, q.heartbeat, msg, meta)
		d.Lane = lane
		taken, backlog = append(taken, d), int(min(meta.NumPending, math.MaxInt32))
	})
	if err == nil || len(taken) > 0 || ctx.Err() != nil { // the next call finds the error
		return taken, backlog, nil
	}
	if errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("%w: is the consumer there? relogin setup creates it", err)
	}
	return nil, 0, fmt.Errorf("take jobs: %w", withPermissionHint(q.nc, err))
}

// newDelivery returns a message that came from a consumer, and keeps it alive from now on.
func newDelivery(nc *nats.Conn, h *heartbeat, msg *nats.Msg, meta *nats.MsgMetadata) *job.Delivery {
	held := &inFlight{nc: nc, reply: msg.Reply, heartbeat: h}
	h.add(held)
	return &job.Delivery{
		Data: msg.Data, Header: msg.Header,
		ContentType: msg.Header.Get(contentType), MsgID: msg.Header.Get(nats.MsgIdHdr), Traceparent: traceContext(msg.Header),
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp,
		Attempts: int(min(meta.NumDelivered, math.MaxInt32)),
		Settler:  held,
	}
}

// inFlight is a message in this process's hands. A settling that can't be sent is not
// repeated: the server delivers the message again after its AckWait.
type inFlight struct {
	nc        *nats.Conn
	reply     string // where the server is told
	heartbeat *heartbeat
	bucket    int // of the heartbeat; guarded by its lock
	settled   atomic.Bool
}

// Ack implements [job.Settler].
func (h *inFlight) Ack() { h.settle("+ACK") }

// Term implements [job.Settler].
func (h *inFlight) Term() { h.settle("+TERM") }

// HandBack implements [job.Settler].
func (h *inFlight) HandBack(after time.Duration) {
	if after <= 0 {
		h.settle("-NAK")
		return
	}
	h.settle(fmt.Sprintf(`-NAK {"delay":%d}`, after.Nanoseconds()))
}

func (h *inFlight) settle(how string) {
	if h.settled.CompareAndSwap(false, true) {
		h.heartbeat.remove(h)
		h.tell(how)
	}
}

// tell does not wait for an answer: there is none.
func (h *inFlight) tell(what string) {
	_ = h.nc.Publish(h.reply, []byte(what)) // fails without a connection: see inFlight
}
