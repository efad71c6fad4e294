package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
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

// ticks is how many parts the time between two signs of life is cut into.
const ticks = 16

// heartbeat keeps messages from being delivered to others: it tells the server that they
// are in progress, at a third of AckWait or a little earlier, so that signs of life
// spread. One goroutine serves all messages: measured, 10,000 of them cost about 1,000
// small messages a second at an AckWait of 30 s.
type heartbeat struct {
	tick time.Duration

	mu  sync.Mutex
	now int               // ticks so far
	due map[*inFlight]int // the tick of each message's next sign of life
}

func newHeartbeat(ackWait time.Duration) *heartbeat {
	return &heartbeat{tick: ackWait / 3 / ticks, due: map[*inFlight]int{}}
}

// next is the tick of a sign of life that follows one given now.
func (b *heartbeat) next() int { return b.now + ticks - rand.IntN(ticks/4) }

func (b *heartbeat) add(h *inFlight) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due[h] = b.next()
}

func (b *heartbeat) remove(h *inFlight) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.due, h)
}

// beat tells of messages under the lock, so never of one that was removed: a sign of life
// that came after a delayed hand-back would distort its delay.
func (b *heartbeat) beat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now++
	for h, due := range b.due {
		if due <= b.now {
			b.due[h] = b.next()
			h.tell("+WPI")
		}
	}
}

// inFlight is a message in this process's hands; it implements [job.Settler]. A settling
// that can't be sent is not repeated: the server delivers the message again after its AckWait.
type inFlight struct {
	nc        *nats.Conn
	reply     string // where the server is told
	heartbeat *heartbeat
	settled   atomic.Bool
}

func (h *inFlight) Ack()  { h.settle("+ACK") }
func (h *inFlight) Term() { h.settle("+TERM") }

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

const (
	traceparent = "traceparent"

	traceparentLen    = 55  // bytes, of version 00 and of what later ones start with
	maxTraceparentLen = 128 // bytes
	hexDigits         = "0123456789abcdef"
)

// traceContext returns the W3C trace context that the headers carry, "" for none or one
// that breaks the recommendation: https://www.w3.org/TR/trace-context/#traceparent-header.
func traceContext(header nats.Header) string {
	if values := header[traceparent]; len(values) == 1 && isTraceparent(values[0]) {
		return values[0]
	}
	return ""
}

// isTraceparent reads version-traceid-parentid-flags. A later version may have more after
// a dash.
func isTraceparent(s string) bool {
	if len(s) < traceparentLen || len(s) > maxTraceparentLen {
		return false
	}
	version, trace, parent, flags, rest := s[:2], s[3:35], s[36:52], s[53:55], s[55:]
	return s[2] == '-' && s[35] == '-' && s[52] == '-' &&
		isHex(version) && version != "ff" && isHex(trace) && !isZero(trace) &&
		isHex(parent) && !isZero(parent) && isHex(flags) &&
		(rest == "" || version != "00" && rest[0] == '-' && isVisible(rest))
}

func isHex(s string) bool  { return strings.Trim(s, hexDigits) == "" }
func isZero(s string) bool { return strings.Trim(s, "0") == "" }

func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
