package queue

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/relogin/relogin/worker/job"
)

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
