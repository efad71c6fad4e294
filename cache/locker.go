package cache

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/relogin/relogin/worker"
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
	incarnation := c.incarnation.name()
	answer, err := c.begin(ctx, a, incarnation)
	if err == nil && answer.State == forgotten {
		if err = c.learnIncarnation(ctx, incarnation); err == nil {
			return c.Begin(ctx, a)
		}
	}
	if err != nil {
		return worker.Answer{}, fmt.Errorf("begin job: %w", err)
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
	return worker.Answer{State: worker.Suspended, Now: c.quarantine.now(), Wait: wait}
}

// forgotten is the state of an ask whose incarnation is not the server's.
const forgotten worker.State = "forgotten"

func (c *Client) begin(ctx context.Context, a worker.Ask, incarnation string) (worker.Answer, error) {
	reply, err := c.run(ctx, c.beginCall(a, incarnation))
	if err != nil {
		return worker.Answer{}, err
	}
	return parseAnswer(reply)
}

func (c *Client) beginCall(a worker.Ask, incarnation string) *call {
	one, k := newCall(c.scripts.begin), c.keys(a.WcID)
	one.key(k, lockName, "")
	one.key(k, jobName, a.JobID)
	one.key(k, lastName, a.Tenant)
	one.key(k, coolName, "")
	one.key(k, waitingName, "")
	if incarnation != "" {
		one.plainKey(c.opts.Namespace, incarnationName)
	}
	if c.opts.DailyPrompts > 0 {
		one.key(k, promptsName, "")
	}
	writeLock(&one.buf, a)
	one.argEnds()
	writeOpen(&one.buf, a.StoredAt, a.Token)
	one.argEnds()
	if !a.Deadline.IsZero() {
		writeInt(&one.buf, a.Deadline.UnixMilli())
	}
	one.argEnds()
	if incarnation != "" || a.Have != "" {
		one.arg(incarnation)
	}
	if a.Have != "" {
		one.arg(a.Have)
	}
	return one
}

// Finish remembers how the job ended, and returns the result that counts: see the
// table of [worker.Locker]. The cool-down runs from now.
func (c *Client) Finish(ctx context.Context, end worker.Conclusion) (worker.Finished, error) {
	one, err := c.finishCall(&end)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	reply, err := c.run(ctx, one)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	return finished(reply, end.Result)
}

func (c *Client) finishCall(end *worker.Conclusion) (*call, error) {
	switch {
	case end.Result.Outcome == worker.Invalid:
		return c.voidCall(end), nil
	case end.Result.SharedWith != "" && end.Token == "":
		return c.takeCall(end), nil
	}
	one, k := newCall(c.scripts.finish), c.keys(end.WcID)
	one.key(k, lockName, "")
	one.key(k, jobName, end.JobID)
	one.key(k, waitingName, "")
	one.key(k, lastName, end.Tenant)
	if end.Cooldown > 0 {
		one.key(k, coolName, "")
	}
	return one, finishArgs(one, end)
}

// takeCall is for a job that took over the outcome of another's confirmation: what it
// stores is small.
func (c *Client) takeCall(end *worker.Conclusion) *call {
	one := newCall(c.scripts.take)
	one.key(c.keys(end.WcID), jobName, end.JobID)
	one.arg(end.Shared)
	if !end.SoleUntil.IsZero() {
		one.intArg(end.SoleUntil.UnixMilli())
	}
	return one
}

// voidCall is for a message that is an invalid job: the id stays free for the mended one.
func (c *Client) voidCall(end *worker.Conclusion) *call {
	one := newCall(c.scripts.void)
	one.key(c.keys(end.WcID), jobName, end.JobID)
	one.arg(end.Digest)
	one.intArg(unixMilli(end.StoredAt))
	return one
}

// finishArgs adds the arguments of finish.lua.
func finishArgs(one *call, end *worker.Conclusion) error {
	if end.Token != "" {
		writeField(&one.buf, end.Token)
	}
	one.argEnds()
	writeOpen(&one.buf, end.StoredAt, end.Token)
	one.argEnds()
	if err := writeDone(&one.buf, end.StoredAt, &end.Result); err != nil {
		return err
	}
	one.argEnds()
	var flags string
	if end.Keep {
		flags += "k"
	}
	if end.Result.Outcome == worker.Unknown {
		flags += "a"
	}
	if end.Cooldown > 0 {
		flags += "c"
	}
	sole := end.Token == "" && !end.SoleUntil.IsZero()
	if flags != "" || sole {
		one.arg(flags)
	}
	if sole {
		one.arg()
		one.arg()
		one.intArg(end.SoleUntil.UnixMilli())
	} else if end.Cooldown > 0 {
		one.intArg(millis(end.Cooldown))
		one.arg(coolReason(end.Result))
	}
	return nil
}

// finished turns what finish.lua, take.lua or void.lua says into what [Client.Finish] returns.
func finished(reply any, own worker.Result) (worker.Finished, error) {
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
	if copied, ok := reply.([]any); ok {
		return voided(copied, own)
	}
	record, _ := reply.(string)
	stored, err := parseDone(record)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	return worker.Finished{Result: *stored, ConcludedBefore: !stored.FinishedAt.Equal(own.FinishedAt)}, nil
}

// voided reads when the job was stored of which an invalid message is a copy.
func voided(reply []any, own worker.Result) (worker.Finished, error) {
	f, err := replyFields(reply, 1)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	at, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return worker.Finished{}, fmt.Errorf("finish job: %w", err)
	}
	return worker.Finished{Result: own, ConcludedBefore: true, Since: time.UnixMilli(at)}, nil
}

func coolReason(r worker.Result) string {
	return "the account's last confirmation ended with " + string(r.Outcome)
}

// Release undoes the grant of a.Token and of earlier ones of the same attempts: its lock, the job's record and its entry among
// the prompts. It returns nil when there is nothing to undo.
func (c *Client) Release(ctx context.Context, a worker.Ask) (waited bool, err error) {
	one, k := newCall(c.scripts.release), c.keys(a.WcID)
	one.key(k, lockName, "")
	one.key(k, jobName, a.JobID)
	one.key(k, promptsName, "")
	one.key(k, waitingName, "")
	one.arg(a.Token)
	reply, err := c.run(ctx, one)
	if err != nil {
		return false, fmt.Errorf("release account: %w", err)
	}
	return reply == int64(1), nil
}

// Shrink reduces the job's record to a tombstone. It does not block: it may come too late
// for the buffer, and is counted then.
func (c *Client) Shrink(wcID, jobID string) {
	c.tidy(c.scripts.shrink, wcID, jobID)
}

// Snooze counts a delivery of the job as snoozed. It does not block: it may come too
// late for the buffer, and is counted then.
func (c *Client) Snooze(wcID, jobID string) {
	c.tidy(c.scripts.snooze, wcID, jobID)
}

// Snoozed returns how many deliveries of the job were snoozed.
func (c *Client) Snoozed(ctx context.Context, wcID, jobID string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	n, err := c.redis.Get(ctx, c.keys(wcID).snoozed(jobID)).Int()
	if err != nil && !isNil(err) {
		return 0, fmt.Errorf("count snoozed deliveries: %w", err)
	}
	return n, nil
}

// Reserve takes the tenant's next place under [Options.GatewayRate], unless it is
// further ahead than that, and returns how long to wait for it, and whether it was taken:
// 0, true and no round trip where no rate is set. As many places as one second has, at
// least one, are free at once. A place can't be given back.
func (c *Client) Reserve(ctx context.Context, tenant string, ahead time.Duration) (time.Duration, bool, error) {
	if c.opts.GatewayRate == 0 {
		return 0, true, nil
	}
	interval := 1e6 / c.opts.GatewayRate
	one := newCall(c.scripts.reserve)
	one.plainKey(c.opts.Namespace, ":rate:", tenant)
	one.arg(strconv.FormatFloat(interval, 'f', -1, 64))
	one.arg(strconv.FormatFloat(max(1e6, interval), 'f', -1, 64))
	one.intArg(ahead.Microseconds())
	reply, err := c.run(ctx, one)
	if err != nil {
		return 0, false, fmt.Errorf("reserve place: %w", err)
	}
	text, _ := reply.(string)
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("reserve place: unexpected reply %v", reply)
	}
	return time.Duration(max(micros, -micros)) * time.Microsecond, micros >= 0, nil
}
