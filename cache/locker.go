package cache

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/relogin/relogin/worker"
)

var _ worker.Locker = (*Client)(nil)

// keys of an account.
type keys struct{ prefix string }

func (c *Client) keys(wcID string) keys {
	return keys{c.opts.Namespace + ":{" + worker.AccountToken(wcID) + "}:"}
}

func (k keys) lock() string              { return k.prefix + "lock" }
func (k keys) last(tenant string) string { return k.prefix + "last:" + tenant }
func (k keys) cool() string              { return k.prefix + "cool" }
func (k keys) prompts() string           { return k.prefix + "prompts" }
func (k keys) waiting() string           { return k.prefix + "waiting" }
func (k keys) job(id string) string      { return k.prefix + "job:" + id }
func (k keys) excused(id string) string  { return k.prefix + "excused:" + id }

// Begin asks whether the job may prompt its account now: see the package's table.
// Asking again, with the next token of the same attempts, says that the former grant was
// not used; the lease then starts anew. While the server is not trusted
// ([Trust]) the answer is Suspended, and Redis is not asked.
func (c *Client) Begin(ctx context.Context, a worker.Ask) (worker.Answer, error) {
	if wait := c.trusted.wait(); wait > 0 {
		return c.suspended(wait), nil
	}
	mark := c.mark.name()
	answer, err := c.begin(ctx, a, mark)
	if err == nil && answer.State == forgotten {
		if err = c.recall(ctx, mark); err == nil {
			return c.Begin(ctx, a)
		}
	}
	if err != nil {
		return worker.Answer{}, fmt.Errorf("begin job: %w", err)
	}
	// The very connection that brought the answer may have been to a new server.
	if wait := c.trusted.wait(); wait > 0 && answer.State == worker.Granted {
		if _, err := c.Release(ctx, a); err != nil {
			return worker.Answer{}, err
		}
		return c.suspended(wait), nil
	}
	return answer, nil
}

func (c *Client) suspended(wait time.Duration) worker.Answer {
	return worker.Answer{State: worker.Suspended, Now: c.trusted.now(), Wait: wait}
}

// forgotten is the state of an ask whose mark is not the server's.
const forgotten worker.State = "forgotten"

func (c *Client) begin(ctx context.Context, a worker.Ask, mark string) (worker.Answer, error) {
	k := c.keys(a.WcID)
	names := []string{k.lock(), k.job(a.JobID), k.last(a.Tenant), k.cool(), k.prompts(), k.waiting()}
	if mark != "" {
		names = append(names, c.mark.key)
	}
	reply, err := c.run(ctx, c.scripts.begin, names, packLock(a), openRecord(a.StoredAt, a.Token), deadline(a.Deadline), mark)
	if err != nil {
		return worker.Answer{}, err
	}
	return parseAnswer(reply)
}

// Finish remembers how the job ended, and returns the result that counts: see the
// package's table. The cool-down runs from now.
func (c *Client) Finish(ctx context.Context, end worker.Conclusion) (worker.Result, error) {
	done, err := doneRecord(end.StoredAt, end.Result)
	if err != nil {
		return worker.Result{}, fmt.Errorf("finish job: %w", err)
	}
	holder, flags := "", ""
	if end.Token != "" {
		holder = field(end.Token)
	}
	if end.Keep {
		flags = "k"
	}
	if end.Result.Outcome == worker.Unknown {
		flags += "a"
	}
	k := c.keys(end.WcID)
	args := []any{holder, openRecord(end.StoredAt, end.Token), done, flags}
	if end.Cooldown > 0 {
		args = append(args, millis(end.Cooldown), coolReason(end.Result))
	}
	reply, err := c.run(ctx, c.scripts.finish,
		[]string{k.lock(), k.job(end.JobID), k.last(end.Tenant), k.cool(), k.waiting()}, args...)
	if err != nil {
		return worker.Result{}, fmt.Errorf("finish job: %w", err)
	}
	return finished(reply, end.Result)
}

// finished turns what finish.lua says into what [Client.Finish] returns.
func finished(reply any, own worker.Result) (worker.Result, error) {
	switch reply {
	case "stored":
		return own, nil
	case "lost":
		return own, worker.ErrLeaseLost
	case "ended":
		return own, worker.ErrEnded
	case "superseded":
		return worker.Result{}, worker.ErrSuperseded
	}
	record, _ := reply.(string)
	stored, err := parseDone(record)
	if err != nil {
		return worker.Result{}, fmt.Errorf("finish job: %w", err)
	}
	return *stored, nil
}

func coolReason(r worker.Result) string {
	return "the account's last confirmation ended with " + string(r.Outcome)
}

// Release undoes the grant of a.Token and of earlier ones of the same attempts: its lock, the job's record and its entry among
// the prompts. It returns nil when there is nothing to undo.
func (c *Client) Release(ctx context.Context, a worker.Ask) (waited bool, err error) {
	k := c.keys(a.WcID)
	reply, err := c.run(ctx, c.scripts.release, []string{k.lock(), k.job(a.JobID), k.prompts(), k.waiting()}, a.Token)
	if err != nil {
		return false, fmt.Errorf("release account: %w", err)
	}
	return reply == int64(1), nil
}

// Shrink reduces the job's record to a mark. It does not block: it may come too late
// for the buffer, and is counted then.
func (c *Client) Shrink(wcID, jobID string) {
	k := c.keys(wcID)
	c.tidy(c.scripts.shrink, []string{k.job(jobID), k.excused(jobID)})
}

// Excuse counts a delivery of the job as excused. It does not block: it may come too
// late for the buffer, and is counted then.
func (c *Client) Excuse(wcID, jobID string) {
	k := c.keys(wcID)
	c.tidy(c.scripts.excuse, []string{k.job(jobID), k.excused(jobID)})
}

// tidy hands a script whose reply nobody waits for to its flusher.
func (c *Client) tidy(s *script, keys []string, args ...any) {
	select {
	case c.tidying <- &call{script: s, keys: keys, args: args, done: make(chan struct{})}:
	default:
		c.stats.dropped.Add(1)
	}
}

// Excused returns how many deliveries of the job were excused.
func (c *Client) Excused(ctx context.Context, wcID, jobID string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	n, err := c.redis.Get(ctx, c.keys(wcID).excused(jobID)).Int()
	if err != nil && !isNil(err) {
		return 0, fmt.Errorf("count excused deliveries: %w", err)
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
	reply, err := c.run(ctx, c.scripts.reserve, []string{c.opts.Namespace + ":rate:" + tenant},
		strconv.FormatFloat(interval, 'f', -1, 64), strconv.FormatFloat(max(1e6, interval), 'f', -1, 64), ahead.Microseconds())
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
