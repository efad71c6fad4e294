package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// publishWindow is how many jobs may wait for their acknowledgement at once.
const publishWindow = 1024

// Publisher asks for relogins. It is safe for concurrent use.
type Publisher struct {
	// JobMemory is how long the workers remember the id of a job that has ended: their
	// --job-memory, an hour unless set. [Publisher.PublishAndWait] needs it. It is set before
	// the first use.
	JobMemory time.Duration

	names names
	nc    *nats.Conn
	js    jetstream.JetStream
}

// Stored says where a job is.
type Stored struct {
	JobID     string // its own id or, where it has none, the one that the workers give it: <stream>-<sequence>
	Sequence  uint64 // in the jobs stream
	Duplicate bool   // the same job, byte for byte, was stored there within the last two minutes
}

// NewPublisher returns a publisher for the namespace; an empty one is the default. The connection stays the caller's.
func NewPublisher(nc *nats.Conn, namespace string) (*Publisher, error) {
	n, err := newNames(namespace)
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxPendingPublishes), jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	return &Publisher{names: n, nc: nc, js: js}, nil
}

// Publish stores the job in a lane and returns once the server has acknowledged it. A
// job with an id may be published again after an error: it is one job still, stored once
// if it has not changed. A job that ended as invalid may be published again under its id
// once it is mended. An error wrapping [job.ErrInvalidJob] is returned for a job that no worker would take.
func (p *Publisher) Publish(ctx context.Context, j *job.Job, lane job.Lane) (Stored, error) {
	msg, err := p.message(j, lane)
	if err != nil {
		return Stored{}, fmt.Errorf("publish job: %w", err)
	}
	ack, err := p.js.PublishMsg(ctx, msg)
	return p.stored(j, ack, err)
}

// stored reads what the server says of the job.
func (p *Publisher) stored(j *job.Job, ack *jetstream.PubAck, err error) (Stored, error) {
	if err != nil {
		return Stored{}, fmt.Errorf("publish job: %w", p.withPermissionHint(err))
	}
	s := Stored{JobID: j.ID, Sequence: ack.Sequence, Duplicate: ack.Duplicate}
	if s.JobID == "" {
		s.JobID = fmt.Sprintf("%s-%d", p.names.jobs(), ack.Sequence)
	}
	return s, nil
}

// PublishAll stores many jobs in a lane, with many acknowledgements under way at once.
// It calls stored once for each job, in order and from this goroutine, and blocks until
// all are answered. Its error is ctx's cause; those of the jobs are stored's.
func (p *Publisher) PublishAll(ctx context.Context, lane job.Lane, jobs iter.Seq[*job.Job], stored func(*job.Job, Stored, error)) error {
	type pending struct {
		job    *job.Job
		future jetstream.PubAckFuture
		err    error
	}
	var window []pending
	settle := func() {
		first := window[0]
		window = window[1:]
		if first.err != nil {
			stored(first.job, Stored{}, first.err)
			return
		}
		ack, err := await(ctx, first.future)
		s, err := p.stored(first.job, ack, err)
		stored(first.job, s, err)
	}
	for j := range jobs {
		if ctx.Err() != nil {
			break
		}
		msg, err := p.message(j, lane)
		one := pending{job: j, err: err}
		if err == nil {
			one.future, one.err = p.js.PublishMsgAsync(msg)
		}
		if window = append(window, one); len(window) == publishWindow {
			settle()
		}
	}
	for len(window) > 0 {
		settle()
	}
	return context.Cause(ctx)
}

// await returns what the server says of a message, or ctx's cause once ctx has ended.
func await(ctx context.Context, future jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	select {
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *Publisher) message(j *job.Job, lane job.Lane) (*nats.Msg, error) {
	if lane != job.Urgent && lane != job.Normal {
		return nil, fmt.Errorf("unknown lane %q", lane)
	}
	if j == nil {
		return nil, fmt.Errorf("%w: it is nil", job.ErrInvalidJob)
	}
	if err := j.Check(); err != nil {
		return nil, err
	}
	data, err := j.Encode(job.EncodingMsgpack)
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{Subject: p.names.jobSubject(lane), Data: data,
		Header: nats.Header{contentType: {job.EncodingMsgpack.ContentType()}}}
	if j.ID != "" {
		msg.Header.Set(nats.MsgIdHdr, messageID(data))
	}
	return msg, nil
}

// messageID is what the server tells repeated publishes by. It stands for the encoded job,
// which names the account too: a job that was mended is another message under its old id.
func messageID(data []byte) string { return uuid.NewSHA1(uuid.NameSpaceOID, data).String() }

func (p *Publisher) withPermissionHint(err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: is stream %s there? relogin setup creates it", err, p.names.jobs())
	}
	return withPermissionHint(p.nc, err)
}
