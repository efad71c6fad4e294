package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// ErrNotReplayable is returned for a dead letter that can't become a job again. The text says why.
var ErrNotReplayable = errors.New("the dead letter can't be replayed")

// Replay stores the dead letter's bytes as a job again, in its lane and under its id, with
// the headers that it was sent with, and removes the letter then. It blocks until the
// server has acknowledged both. A letter that is replayed again after an error, or by two
// programs at once, becomes one job.
//
// A job that ended with an event under its id is the same job to the workers for as long as
// they remember that (their --job-memory): until then a replay neither asks the phone nor
// stores a second event. One that was invalid is welcome under its id.
//
// The error wraps [ErrNotReplayable] for an event, for which a consumer is responsible, and for a
// job that the server would take for its first message, which it does for two minutes.
func (d *DeadLetters) Replay(ctx context.Context, l *DeadLetter) (Stored, error) {
	s, err := d.replay(ctx, l)
	if err != nil {
		return Stored{}, fmt.Errorf("replay dead letter %d: %w", l.Sequence, err)
	}
	return s, nil
}

func (d *DeadLetters) replay(ctx context.Context, l *DeadLetter) (Stored, error) {
	if l.Lane != job.Urgent && l.Lane != job.Normal {
		return Stored{}, fmt.Errorf("%w: it is no job, but on the subject %s.dead.%s", ErrNotReplayable, d.names, l.Lane)
	}
	ack, err := d.js.PublishMsg(ctx, d.job(l))
	if err != nil {
		return Stored{}, withPermissionHint(d.nc, err)
	}
	// The server tells a repetition by the message id, and where the first one is.
	if ack.Duplicate && ack.Sequence == l.Origin.Sequence && l.Origin.Stream == d.names.jobs() {
		return Stored{}, fmt.Errorf("%w: NATS would take it for the message that it was; try again after %s",
			ErrNotReplayable, l.Origin.StoredAt.Add(DuplicateWindow(0)).Format(time.RFC3339))
	}
	if err := d.Drop(ctx, l); err != nil && !errors.Is(err, ErrNoDeadLetter) { // another program has replayed it
		return Stored{}, fmt.Errorf("it is stored as a job again, at sequence %d, and could not be removed: %w", ack.Sequence, err)
	}
	return Stored{JobID: l.JobID, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

// job returns the letter as a job. A job without an id of its own keeps the one that it had by
// its message id, or by its place in the stream.
func (d *DeadLetters) job(l *DeadLetter) *nats.Msg {
	header := passable(l.Header)
	header.Set(nats.MsgIdHdr, fmt.Sprintf("replay-%s-%d-%d", d.names.dead(), l.Sequence, l.StoredAt.UnixNano()))
	if own, _ := job.DecodeJob(l.Data, l.Header.Get(contentType)); own.ID == "" && l.JobID != "" {
		header.Set(nats.MsgIdHdr, l.JobID)
	}
	return &nats.Msg{Subject: d.names.jobSubject(l.Lane), Header: header, Data: l.Data}
}

// Drop removes the dead letter for good. It blocks until the server has done so. The error
// wraps [ErrNoDeadLetter] when it is gone already.
func (d *DeadLetters) Drop(ctx context.Context, l *DeadLetter) error {
	if err := d.stream.DeleteMsg(ctx, l.Sequence); err != nil {
		if _, err := d.Get(ctx, l.Sequence); errors.Is(err, ErrNoDeadLetter) { // the server has several errors for that
			return fmt.Errorf("drop dead letter %d: %w", l.Sequence, ErrNoDeadLetter)
		}
		return fmt.Errorf("drop dead letter %d: %w", l.Sequence, withPermissionHint(d.nc, err))
	}
	return nil
}
