package queue

import (
	"cmp"
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
	// JobMemory is the workers' --job-memory, an hour unless set: for how long they remember the
	// id of a job that has ended. [Publisher.PublishAndWait] needs it; set it before the first use.
	JobMemory time.Duration

	client
}

// Stored says where a job is.
type Stored struct {
	JobID     string // its own id or, where it has none, the one that the workers give it: <stream>-<sequence>
	Sequence  uint64 // in the jobs stream
	Duplicate bool   // the same job, byte for byte, was stored there within the last two minutes
}

// NewPublisher returns a publisher for the namespace; an empty one is the default. The connection stays the caller's.
func NewPublisher(nc *nats.Conn, namespace string) (*Publisher, error) {
	client, err := newClient(nc, namespace, jetstream.WithPublishAsyncMaxPending(maxPendingPublishes), jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	return &Publisher{client: client}, nil
}

// Publish stores the job in a lane and returns once the server has acknowledged it. A
// job with an id may be published again after an error: it is one job still, stored once
// if it has not changed. A job that ended as invalid may be published again under its id
// once it is mended. An error wrapping [job.ErrInvalidJob] is returned for a job that no worker would take.
func (p *Publisher) Publish(ctx context.Context, j *job.Job, lane job.Lane) (Stored, error) {
	msg, err := p.message(j, lane)
	var ack *jetstream.PubAck
	if err == nil {
		ack, err = p.js.PublishMsg(ctx, msg)
	}
	return p.stored(j, ack, err)
}

// stored reads what the server says of the job, if there was no error before.
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
	var window []func()
	for j := range jobs {
		if ctx.Err() != nil {
			break
		}
		msg, err := p.message(j, lane)
		var future jetstream.PubAckFuture
		if err == nil {
			future, err = p.js.PublishMsgAsync(msg)
		}
		window = append(window, func() {
			var ack *jetstream.PubAck
			if err == nil {
				ack, err = await(ctx, future)
			}
			s, err := p.stored(j, ack, err)
			stored(j, s, err)
		})
		if len(window) == publishWindow {
			window[0]()
			window = window[1:]
		}
	}
	for _, settle := range window {
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
	if j.ID != "" { // stands for all that is encoded: a mended job is another message under its old id
		msg.Header.Set(nats.MsgIdHdr, uuid.NewSHA1(uuid.NameSpaceOID, data).String())
	}
	return msg, nil
}

func (p *Publisher) withPermissionHint(err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: is stream %s there? relogin setup creates it", err, p.names.jobs())
	}
	return withPermissionHint(p.nc, err)
}

const defaultJobMemory = time.Hour

// PublishAndWait stores the job in a lane, as [Publisher.Publish] does, and blocks until the
// job has ended. It returns its event, whatever the outcome: an outcome is no error. A job
// without an id gets a random one; the caller's job is not changed.
//
// Events are followed before the job is stored, so that none is missed, and across lost
// connections. It returns an error, and no event, when ctx ends, wrapping its cause. The job
// goes on then: its phone may still ask, and its event will be stored. Another call with the
// same job, under the same id, asks nobody again: it returns the event once there is one, also
// one that was stored since, or up to JobMemory before. The same holds for an error of
// publishing, after which the job may be stored.
//
// The user needs the permissions of both a publisher and a follower of events.
func (p *Publisher) PublishAndWait(ctx context.Context, j *job.Job, lane job.Lane) (*job.Event, error) {
	if j != nil && j.ID == "" {
		named := *j
		named.ID = uuid.Must(uuid.NewV7()).String()
		j = &named
	}
	msg, err := p.message(j, lane)
	if err != nil {
		return nil, fmt.Errorf("publish job: %w", err)
	}
	o := FollowOptions{Namespace: string(p.names), Account: j.WcID}
	events, err := o.follow(ctx, p.nc, cmp.Or(p.JobMemory, defaultJobMemory))
	if err != nil {
		return nil, fmt.Errorf("publish job: it was not stored, since its event could not be waited for: %w", err)
	}
	defer events.stop()
	if _, err := p.js.PublishMsg(ctx, msg); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("publish job %s, which may be stored: %w", j.ID, p.withPermissionHint(err))
	}
	id, invalidID := j.EventID(), j.InvalidEventID(msg.Data)
	for {
		e, _, err := events.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("wait for the event of job %s, which is stored and goes on: %w", j.ID, err)
		}
		if e.ID == id || e.ID == invalidID {
			return e, nil
		}
	}
}
