package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

// Jobs shows people the jobs that have not ended, and takes those from the queue that were
// cancelled. It is safe for concurrent use.
type Jobs struct {
	client
	stream jetstream.Stream
}

// OpenJobs returns the jobs of the namespace; an empty one is the default. It blocks until the
// server has said that their stream is there. The connection stays the caller's.
func OpenJobs(ctx context.Context, nc *nats.Conn, namespace string) (*Jobs, error) {
	c, err := newClient(nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("open jobs: %w", err)
	}
	stream, err := c.js.Stream(ctx, c.names.jobs())
	if err != nil {
		return nil, fmt.Errorf("open stream %s (relogin setup creates it): %w", c.names.jobs(), withPermissionHint(nc, err))
	}
	return &Jobs{c, stream}, nil
}

// LaneState is how a lane stands.
type LaneState struct {
	Lane      job.Lane  `json:"lane"`
	Jobs      uint64    `json:"jobs"`            // all that have not ended
	Queued    uint64    `json:"queued"`          // of these, those that were not delivered yet
	Taken     int       `json:"taken"`           // of these, those that pods have, and those that were handed back for a while
	Requests  int       `json:"requests"`        // of pods that wait for a job; 0: nobody takes any
	Delivered uint64    `json:"delivered"`       // the sequence of the newest job that was ever delivered
	Oldest    time.Time `json:"oldest,omitzero"` // when the oldest that has not ended was stored
}

// Lanes returns how the lanes stand, urgent first. It blocks until the server has answered.
func (j *Jobs) Lanes(ctx context.Context) ([]LaneState, error) {
	var all []LaneState
	for _, lane := range lanes {
		consumer, err := j.js.Consumer(ctx, j.names.jobs(), string(lane))
		if err != nil {
			return nil, fmt.Errorf("read consumer %s of stream %s: %w", lane, j.names.jobs(), withPermissionHint(j.nc, err))
		}
		info := consumer.CachedInfo()
		s := LaneState{
			Lane: lane, Jobs: info.NumPending + uint64(info.NumAckPending), Queued: info.NumPending, Taken: info.NumAckPending,
			Requests: info.NumWaiting, Delivered: info.Delivered.Stream,
		}
		first, err := j.stream.GetMsg(ctx, 0, jetstream.WithGetMsgSubject(j.names.jobSubject(lane)))
		switch {
		case err == nil:
			s.Oldest = first.Time
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, fmt.Errorf("read the oldest job of lane %s: %w", lane, withPermissionHint(j.nc, err))
		}
		all = append(all, s)
	}
	return all, nil
}

// StoredJob is a job that has not ended, as the queue has it.
type StoredJob struct {
	Lane     job.Lane
	Sequence uint64 // in the jobs stream
	StoredAt time.Time
	Job      *job.Job // what could be read

	Traceparent string // a valid W3C trace context, or empty
	Record      string // the name of its record in Redis
	Invalid     error  // wraps [job.ErrInvalidJob]; nil: it is a valid job
}

const scanBatch = 1024 // jobs that one request reads

// All returns the jobs of a lane that have not ended, those of both for an empty lane, the oldest
// first. It reads the whole stream, about 50,000 jobs a second. An error is the last that it yields.
func (j *Jobs) All(ctx context.Context, lane job.Lane) iter.Seq2[*StoredJob, error] {
	return func(yield func(*StoredJob, error) bool) {
		subjects := string(j.names) + ".jobs.*"
		if lane != "" {
			subjects = j.names.jobSubject(lane)
		}
		for msg, err := range j.read(ctx, j.names.jobs(), subjects, 1, scanBatch) {
			if err != nil {
				yield(nil, fmt.Errorf("read jobs of stream %s: %w", j.names.jobs(), withPermissionHint(j.nc, err)))
				return
			}
			if !yield(j.job(msg), nil) {
				return
			}
		}
	}
}

func (j *Jobs) job(msg *jetstream.RawStreamMsg) *StoredJob {
	d := job.Delivery{
		Data: msg.Data, ContentType: msg.Header.Get(contentType), MsgID: msg.Header.Get(nats.MsgIdHdr),
		Stream: j.names.jobs(), Sequence: msg.Sequence, StoredAt: msg.Time,
	}
	s := &StoredJob{Lane: job.Lane(strings.TrimPrefix(msg.Subject, j.names.jobSubject(""))), Sequence: msg.Sequence, StoredAt: msg.Time}
	s.Traceparent = traceContext(msg.Header)
	s.Job, s.Record, s.Invalid = d.Read()
	return s
}

// Remove takes the job from the queue, once its event is stored. It blocks until the server has done
// so. There is no error when it is gone already.
func (j *Jobs) Remove(ctx context.Context, s *StoredJob) error {
	err := j.stream.DeleteMsg(ctx, s.Sequence)
	if err == nil {
		return nil
	}
	if _, failed := j.stream.GetMsg(ctx, s.Sequence); errors.Is(failed, jetstream.ErrMsgNotFound) { // the server has several errors for that
		return nil
	}
	return fmt.Errorf("remove job %s from the queue: %w", s.Job.ID, withPermissionHint(j.nc, err))
}

// History returns the account's events, the oldest first, of those that the stream still has, without
// their logins' secrets. One that can't be decoded is passed over. An error is the last that it yields.
func (j *Jobs) History(ctx context.Context, wcID string) iter.Seq2[*job.Event, error] {
	return func(yield func(*job.Event, error) bool) {
		for msg, err := range j.read(ctx, j.names.events(), j.names.accountEvents(wcID), 1, readBatch) {
			if err != nil {
				yield(nil, fmt.Errorf("read events of stream %s: %w", j.names.events(), withPermissionHint(j.nc, err)))
				return
			}
			e, err := job.DecodeEvent(msg.Data, msg.Header.Get(contentType))
			if err != nil {
				continue
			}
			if e.Login != nil {
				e.Login.Token, e.Login.Data = "", ""
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}
