package cache

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

var _ worker.Canceller = (*Inspector)(nil)

var cancelScript = redis.NewScript(newScript("", "cancel").source)

// Cancel implements [worker.Canceller]. The record is kept for [Options.EventMaxAge].
func (i *Inspector) Cancel(ctx context.Context, wcID, record string, storedAt time.Time, r job.Result) (job.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	done := bytes.NewBufferString("done:" + strconv.FormatInt(unixMilli(storedAt), 10) + ":")
	if err := writeResult(done, &r); err != nil {
		return r, err
	}
	key := keys{i.namespace, job.AccountToken(wcID)}.key(jobName, record)
	reply, err := cancelScript.Run(ctx, i.redis, []string{key}, done.String(), millis(i.keep)).Text()
	switch {
	case err != nil:
		return r, fmt.Errorf("cancel job: %w", err)
	case reply == "cancelled":
		return r, nil
	case reply == "open":
		return r, worker.ErrAsked
	case reply == "ended":
		return r, worker.ErrEnded
	}
	stored, err := parseDone(reply)
	if err != nil {
		return r, fmt.Errorf("cancel job: %w", err)
	}
	if stored.Outcome != job.Cancelled {
		return r, worker.ErrEnded
	}
	return *stored, nil
}
