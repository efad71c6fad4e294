package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

var _ worker.Locker = (*Client)(nil)

// Begin asks whether the job may prompt its account now: see the table of [worker.Locker].
// Asking again, with the next token of the same attempts, says that the former grant was
// not used; the lease then starts anew. While the server is not trusted
// ([IncarnationStore]) the answer is Suspended, and Redis is not asked.
func (c *Client) Begin(ctx context.Context, a worker.Ask) (worker.Answer, error) {
	slot := c.slotOf(a.WcID)
	if wait := c.quarantine.wait(slot); wait > 0 {
		return c.suspended(wait), nil
	}
	answer, err := c.begin(ctx, a)
	if err != nil {
		return worker.Answer{}, fmt.Errorf("begin job: %w", err)
	}
	if answer.State == forgotten {
		return c.Begin(ctx, a)
	}
	// The very connection that brought the answer may have been to a new server.
	if wait := c.quarantine.wait(slot); wait > 0 && answer.State == worker.Granted {
		if _, err := c.Release(ctx, a); err != nil {
			return worker.Answer{}, err
		}
		return c.suspended(wait), nil
	}
	return answer, nil
}

func (c *Client) suspended(wait time.Duration) worker.Answer {
	now := time.Now().Add(time.Duration(c.quarantine.lead.Load()))
	return worker.Answer{State: worker.Suspended, Now: now, Wait: wait}
}

// forgotten is the state of an ask whose mark was not the server's, and now is.
const forgotten worker.State = "forgotten"

func (c *Client) begin(ctx context.Context, a worker.Ask) (worker.Answer, error) {
	reply, err := c.run(ctx, c.beginCall(a))
	if err != nil {
		return worker.Answer{}, err
	}
	answer, err := parseAnswer(reply)
	if err == nil && answer.State == forgotten {
		err = c.learnMark(ctx, answer.Token, answer.Now)
	}
	return answer, err
}

func (c *Client) beginCall(a worker.Ask) *call {
	one := c.newCall(c.scripts.begin, a.WcID)
	one.accountKeys(lockName, "", jobName, a.JobID, lastName, a.Tenant, coolName, "", waitingName, "")
	mark, _ := c.mark.Load().(string)
	if mark != "" {
		one.key(c.opts.Namespace, markName)
	}
	if c.opts.DailyPrompts > 0 {
		one.accountKeys(promptsName, "")
	}
	one.arg(len(a.Token), ":", a.Token, len(a.JobID), ":", a.JobID, len(a.Pod), ":", a.Pod) // lock.lua reads it
	one.arg("open:", unixMilli(a.StoredAt), ":", a.Token)
	one.timeArg(a.Deadline)
	one.arg(mark)
	one.arg(a.Have)
	return one
}

// Finish remembers how the job ended, and returns the result that counts: see the
// table of [worker.Locker]. The cool-down runs from now.
func (c *Client) Finish(ctx context.Context, end worker.Conclusion) (worker.Finished, error) {
	one, err := c.endCall(&end)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	reply, err := c.run(ctx, one)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	return finished(reply, end.Result)
}

// endCall returns the call of the script that is for this kind of end.
func (c *Client) endCall(end *worker.Conclusion) (*call, error) {
	switch {
	case end.Result.Outcome == job.Invalid: // the id stays free for the mended job
		one := c.newCall(c.scripts.void, end.WcID)
		one.accountKeys(jobName, end.JobID)
		one.arg(end.Digest)
		one.arg(unixMilli(end.StoredAt))
		return one, nil
	case end.Result.SharedWith != "" && end.Token == "": // the account has the result already
		one := c.newCall(c.scripts.take, end.WcID)
		one.accountKeys(jobName, end.JobID)
		one.arg(end.Shared)
		one.timeArg(end.SoleUntil)
		return one, nil
	}
	return c.finishCall(end)
}

func (c *Client) finishCall(end *worker.Conclusion) (*call, error) {
	one := c.newCall(c.scripts.finish, end.WcID)
	one.accountKeys(lockName, "", jobName, end.JobID, waitingName, "", lastName, end.Tenant)
	if end.Cooldown > 0 {
		one.accountKeys(coolName, "")
	}
	if end.Token != "" {
		one.write(len(end.Token), ":", end.Token)
	}
	one.arg()
	one.arg("open:", unixMilli(end.StoredAt), ":", end.Token)
	one.write("done:", unixMilli(end.StoredAt), ":")
	if err := writeResult(&one.buf, &end.Result); err != nil {
		return nil, err
	}
	one.arg()
	if end.Keep {
		one.write("k")
	}
	if end.Result.Outcome == job.Unknown {
		one.write("a")
	}
	one.arg()
	if end.Token == "" {
		one.arg()
		one.arg()
		one.timeArg(end.SoleUntil)
	} else if end.Cooldown > 0 {
		one.arg(millis(end.Cooldown))
		one.arg("the account's last confirmation ended with ", string(end.Result.Outcome))
	}
	return one, nil
}

// finished turns what finish.lua, take.lua or void.lua says into what [Client.Finish] returns.
func finished(reply any, own job.Result) (worker.Finished, error) {
	switch reply {
	case "first":
		return worker.Finished{Result: own, First: true}, nil
	case "stored":
		return worker.Finished{Result: own}, nil
	case "taken":
		return worker.Finished{Result: own, ConcludedBefore: true}, nil
	case "lost":
		return worker.Finished{Result: own, ConcludedBefore: true}, worker.ErrLeaseLost
	case "ended":
		return worker.Finished{Result: own}, worker.ErrEnded
	case "superseded":
		return worker.Finished{}, worker.ErrSuperseded
	}
	if at, copied := reply.(int64); copied && own.Outcome == job.Invalid {
		return worker.Finished{Result: own, ConcludedBefore: true, Since: time.UnixMilli(at)}, nil
	}
	record, _ := reply.(string)
	stored, err := parseDone(record)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	return worker.Finished{Result: *stored, ConcludedBefore: !stored.FinishedAt.Equal(own.FinishedAt)}, nil
}

// Release undoes the grant of a.Token and of earlier ones of the same attempts: its lock, the
// job's record and its entry among the prompts. It returns nil when there is nothing to undo.
func (c *Client) Release(ctx context.Context, a worker.Ask) (waited bool, err error) {
	one := c.newCall(c.scripts.release, a.WcID)
	one.accountKeys(lockName, "", jobName, a.JobID, promptsName, "", waitingName, "")
	one.arg(a.Token)
	reply, err := c.run(ctx, one)
	if err != nil {
		return false, fmt.Errorf("release account: %w", err)
	}
	return reply == int64(1), nil
}

// Shrink implements [worker.Locker]. A call that finds the buffer full is counted.
func (c *Client) Shrink(wcID, jobID string) {
	c.tidy(c.scripts.shrink, wcID, jobID)
}

// Snooze implements [worker.Locker]. A call that finds the buffer full is counted.
func (c *Client) Snooze(wcID, jobID string) {
	c.tidy(c.scripts.snooze, wcID, jobID)
}

// Snoozed implements [worker.Locker].
func (c *Client) Snoozed(ctx context.Context, wcID, jobID string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	n, err := c.redis.Get(ctx, c.keys(wcID).key(snoozedName, jobID)).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("count snoozed deliveries: %w", err)
	}
	return n, nil
}

// Reserve implements [worker.Locker] by [Options.GatewayRate], without a round trip where
// none is set. As many places as one second has, at least one, are free at once. A place
// can't be given back.
func (c *Client) Reserve(ctx context.Context, tenant string, ahead time.Duration) (time.Duration, bool, error) {
	if c.opts.GatewayRate == 0 {
		return 0, true, nil
	}
	one := c.newCall(c.scripts.reserve, "")
	one.key(c.opts.Namespace, ":rate:", tenant)
	one.arg(ahead.Microseconds())
	reply, err := c.run(ctx, one)
	if err != nil {
		return 0, false, fmt.Errorf("reserve place: %w", err)
	}
	micros, ok := reply.(int64)
	if !ok {
		return 0, false, fmt.Errorf("reserve place: unexpected reply %v", reply)
	}
	return time.Duration(max(micros, -micros)) * time.Microsecond, micros >= 0, nil
}
