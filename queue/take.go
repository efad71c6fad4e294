package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker"
)

// Take implements [worker.Queue]. More than one job is asked for only of what is there:
// a request for many would keep their slots while it waits for the last of them.
func (q *Queue) Take(ctx context.Context, lane worker.Lane, n int, wait time.Duration) ([]*worker.Delivery, int, error) {
	if n > 1 {
		batch, err := q.consumers[lane].FetchNoWait(n)
		if err != nil {
			return nil, 0, fmt.Errorf("take jobs: %w", err)
		}
		taken, backlog, err := q.receive(lane, batch)
		if len(taken) > 0 || err != nil {
			return taken, backlog, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	batch, err := q.consumers[lane].Fetch(1, jetstream.FetchContext(ctx))
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, nil
		}
		return nil, 0, fmt.Errorf("take jobs: %w", err)
	}
	return q.receive(lane, batch)
}

// receive reads a batch to its end. An error that comes with messages is left for the
// next call to find.
func (q *Queue) receive(lane worker.Lane, batch jetstream.MessageBatch) (taken []*worker.Delivery, backlog int, err error) {
	for msg := range batch.Messages() {
		d, pending, err := q.delivery(lane, msg)
		if err != nil {
			return taken, backlog, err
		}
		taken, backlog = append(taken, d), pending
	}
	err = batch.Error()
	switch {
	case err == nil, len(taken) > 0, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoMessages):
		return taken, backlog, nil
	}
	return nil, 0, fmt.Errorf("take jobs: %w", explain(q.nc, err))
}

func (q *Queue) delivery(lane worker.Lane, msg jetstream.Msg) (*worker.Delivery, int, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, 0, fmt.Errorf("take jobs: %w", err)
	}
	header := msg.Headers()
	held := &heldMsg{msg: msg, alive: q.alive}
	q.alive.add(held)
	return &worker.Delivery{
		Lane: lane, Data: msg.Data(),
		ContentType: header.Get(contentType), MsgID: header.Get(nats.MsgIdHdr), Traceparent: header.Get(traceparent),
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp,
		Attempts: int(min(meta.NumDelivered, math.MaxInt32)),
		Header:   header,
		Settler:  held,
	}, int(min(meta.NumPending, math.MaxInt32)), nil
}

// heldMsg is a message in this process's hands. A settling that can't be sent is not
// repeated: the server delivers the message again after its AckWait.
type heldMsg struct {
	msg     jetstream.Msg
	alive   *alive
	bucket  int // of alive; guarded by its lock
	settled atomic.Bool
}

// Ack implements [worker.Settler].
func (h *heldMsg) Ack() { h.settle(h.msg.Ack) }

// Term implements [worker.Settler].
func (h *heldMsg) Term() { h.settle(h.msg.Term) }

// HandBack implements [worker.Settler].
func (h *heldMsg) HandBack(after time.Duration) {
	if after <= 0 {
		h.settle(h.msg.Nak)
		return
	}
	h.settle(func() error { return h.msg.NakWithDelay(after) })
}

func (h *heldMsg) settle(send func() error) {
	if h.settled.CompareAndSwap(false, true) {
		h.alive.remove(h)
		_ = send() // the connection is lost: see heldMsg
	}
}
