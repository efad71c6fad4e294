package cache

import (
	"bytes"
	"context"
	"errors"
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

// Remembers tells whether Redis has what it knew of jobs, as far as that can be told: false after it
// was wiped, until a worker has asked it, and before the first worker has. A Cluster and an emulator
// can't tell, and the result is true. It blocks until Redis has answered.
func (i *Inspector) Remembers(ctx context.Context) (bool, error) {
	server, single := i.redis.(*redis.Client)
	if !single {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	err := server.Get(ctx, i.namespace+markName).Err()
	if err == nil {
		return true, nil
	}
	text := ""
	if errors.Is(err, redis.Nil) {
		text, err = server.Info(ctx).Result()
	}
	if err != nil {
		return false, fmt.Errorf("see whether redis was wiped: %w", err)
	}
	return parseInfo(text)["redis_version"] == "", nil
}
