package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	longestSilence = 5 * time.Second // of the server, while a request waits: it says that it is there
	drainTimeout   = 2 * time.Second
	statusRoom     = 16 // for what arrives beside the jobs
)

// errOthersWait is returned when the server lets a request not wait behind those before it.
var errOthersWait = errors.New("other requests wait for what is there")

// request is the body of a pull request. With NoWait the server answers it as soon as
// there is a job, with as many as there are; without, it waits for Batch of them.
type request struct {
	Batch     int           `json:"batch"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
	NoWait    bool          `json:"no_wait,omitempty"`
}

// pull asks the stream's consumer for between one and n messages and calls job for each
// one that comes. It returns nil when none came within that time, and when ctx ended: the
// jobs that were on their way then have come, too. It asks for a single one when others
// wait already for what is there. It is used instead of the library's Fetch because that
// one drops what is on its way when its context ends, so that it waits for AckWait; leaves
// a subscription behind with every request that can't be sent; and takes an empty job with
// a header Status for its own.
func pull(ctx context.Context, nc *nats.Conn, stream, consumer string, n int, wait time.Duration, job func(*nats.Msg, *nats.MsgMetadata)) error {
	r := request{Batch: n, Expires: wait, Heartbeat: min(longestSilence, wait/2), NoWait: n > 1}
	err := r.send(ctx, nc, pullSubject(stream, consumer), job)
	if errors.Is(err, errOthersWait) {
		r.Batch, r.NoWait = 1, false
		err = r.send(ctx, nc, pullSubject(stream, consumer), job)
	}
	return err
}

func (r request) send(ctx context.Context, nc *nats.Conn, subject string, job func(*nats.Msg, *nats.MsgMetadata)) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(lost)
	inbox, msgs := nc.NewInbox(), make(chan *nats.Msg, r.Batch+statusRoom)
	sub, err := nc.ChanSubscribe(inbox, msgs)
	if err != nil {
		return err
	}
	if err := nc.PublishRequest(subject, inbox, body); err != nil {
		_ = sub.Unsubscribe() // err says it
		return err
	}
	open, err := r.answers(ctx, msgs, lost, job)
	if !open {
		_ = sub.Unsubscribe() // fails when the connection is closed
		return err
	}
	drain(sub)
	for len(msgs) > 0 { // nobody else reads them
		msg := <-msgs
		if meta, err := msg.Metadata(); err == nil {
			job(msg, meta)
		}
	}
	return err
}

// pullSubject is where a consumer's messages are asked for.
func pullSubject(stream, consumer string) string {
	return fmt.Sprintf("$JS.API.CONSUMER.MSG.NEXT.%s.%s", stream, consumer)
}

// answers reads what answers the request. open: there may be more, though none is waited for.
func (r request) answers(ctx context.Context, msgs <-chan *nats.Msg, lost <-chan nats.Status, job func(*nats.Msg, *nats.MsgMetadata)) (open bool, err error) {
	allowed := 2*r.Heartbeat + time.Second
	silence := time.NewTimer(allowed)
	defer silence.Stop()
	for got := 0; got < r.Batch; {
		select {
		case msg := <-msgs:
			silence.Reset(allowed)
			if meta, err := msg.Metadata(); err == nil { // only a job has any, whatever its headers say
				job(msg, meta)
				got++
			} else if ended, err := status(msg); ended {
				return false, err
			}
		case <-silence.C:
			return true, jetstream.ErrNoHeartbeat
		case <-lost:
			return true, nats.ErrDisconnected
		case <-ctx.Done():
			return true, nil
		}
	}
	return false, nil
}

// status reads what the server says of a request: whether it ended it, and how.
func status(msg *nats.Msg) (ended bool, err error) {
	code, text := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case code == "100": // the server is there
		return false, nil
	case code == "408" && strings.EqualFold(text, "Requests Pending"):
		return true, errOthersWait
	case code == "404", code == "408":
		return true, nil
	case code == "503":
		return true, nats.ErrNoResponders
	}
	return true, fmt.Errorf("the server answered %s %s", code, text)
}

// drain ends the subscription, and blocks until nothing more can come on it.
func drain(sub *nats.Subscription) {
	drained := sub.StatusChanged(nats.SubscriptionClosed)
	if err := sub.Drain(); err != nil {
		return // the connection is closed
	}
	select {
	case <-drained:
	case <-time.After(drainTimeout): // the connection is lost
	}
}
