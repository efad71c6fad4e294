package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker/job"
)

// Inspector shows people what Redis knows of accounts and jobs, and cancels jobs. It needs no more
// permissions than a worker. It is safe for concurrent use.
type Inspector struct {
	namespace string
	timeout   time.Duration
	keep      time.Duration // [Options.EventMaxAge]
	redis     redis.UniversalClient
}

// OpenInspector returns an inspector for the Redis of these options, of which URL, SentinelMaster,
// Namespace, EventMaxAge and Timeout count. It does not block: a server that can't be reached is an error of
// what is asked of it. The caller calls Close.
func OpenInspector(o Options) (*Inspector, error) {
	o.SendWindow, o.ConfirmTimeout = time.Second, time.Second // only workers need them
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	universal, err := o.universal()
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	redis.SetLogger(redisLogger{o.Logger})
	return &Inspector{o.Namespace, o.Timeout, o.EventMaxAge, redis.NewUniversalClient(universal)}, nil
}

// Close ends the connections.
func (i *Inspector) Close() error { return i.redis.Close() }

// AccountState is what Redis knows of an account. Times are by its own clock.
type AccountState struct {
	Now     time.Time   `json:"now"`
	Lock    *Lock       `json:"lock,omitempty"` // nil: nobody holds it
	Waited  bool        `json:"waited"`         // somebody was told within about a lease that it is held
	Cooling *Cooling    `json:"cooling,omitempty"`
	Prompts []time.Time `json:"prompts,omitempty"` // the last ones, where they are counted: the newest first
}

// Lock is who holds an account.
type Lock struct {
	JobID    string    `json:"jobId"`
	Pod      string    `json:"pod"`
	Until    time.Time `json:"until"`             // its lease ends
	Prompted time.Time `json:"prompted,omitzero"` // since when, where prompts are counted
}

// Cooling is why no prompt of an account is allowed.
type Cooling struct {
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
}

// Account returns what Redis knows of the account, with at most so many of its last prompts. It
// blocks until Redis has answered, for a few seconds at most.
func (i *Inspector) Account(ctx context.Context, wcID string, prompts int) (*AccountState, error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	k := keys{i.namespace, job.AccountToken(wcID)}
	pipe := i.redis.Pipeline()
	clock := pipe.Time(ctx)
	lock, lockTTL := pipe.Get(ctx, k.lock()), pipe.PTTL(ctx, k.lock())
	cool, coolTTL := pipe.Get(ctx, k.key(coolName, "")), pipe.PTTL(ctx, k.key(coolName, ""))
	waiting := pipe.Exists(ctx, k.key(waitingName, ""))
	var counted []*redis.StringCmd
	for n := range prompts {
		counted = append(counted, pipe.LIndex(ctx, k.key(promptsName, ""), int64(-n-1)))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read account: %w", err)
	}
	now := clock.Val()
	s := &AccountState{Now: now, Waited: waiting.Val() == 1}
	if text := lock.Val(); text != "" {
		l, err := parseLock(text)
		if err != nil {
			return nil, fmt.Errorf("read account: %w", err)
		}
		l.Until = now.Add(max(lockTTL.Val(), 0))
		s.Lock = l
	}
	if text := cool.Val(); text != "" {
		s.Cooling = &Cooling{text, now.Add(max(coolTTL.Val(), 0))}
	}
	for _, one := range counted {
		if ms, err := strconv.ParseInt(one.Val(), 10, 64); err == nil { // else there are no more
			s.Prompts = append(s.Prompts, time.UnixMilli(ms))
		}
	}
	return s, nil
}

// parseLock reads a lock as lock.lua does: token, job and pod, each as <length>:<bytes>, and when its
// prompt was counted.
func parseLock(text string) (*Lock, error) {
	var fields [3]string
	rest := text
	for i := range fields {
		length, after, _ := strings.Cut(rest, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(after) {
			return nil, fmt.Errorf("%.40q is no lock", text)
		}
		fields[i], rest = after[:n], after[n:]
	}
	l := &Lock{JobID: job.IDOf(fields[1]), Pod: fields[2]}
	if ms, err := strconv.ParseInt(rest, 10, 64); err == nil {
		l.Prompted = time.UnixMilli(ms)
	}
	return l, nil
}

// Record is what Redis knows of a job. [worker.Locker] has the table of them.
type Record struct {
	State  RecordState `json:"state"`
	Since  time.Time   `json:"since,omitzero"`   // waits, took: when it was told to wait; open, done, void: when it was stored
	Result *job.Result `json:"result,omitempty"` // done: without a login's secrets
}

// RecordState is the kind of a [Record].
type RecordState string

// The kinds.
const (
	RecordNone      RecordState = "none"      // nothing is known
	RecordWaits     RecordState = "waits"     // it was told that another confirmation is open
	RecordTook      RecordState = "took"      // it has ended with another confirmation's outcome, its event perhaps not stored
	RecordOpen      RecordState = "open"      // it was granted the account, and may have prompted
	RecordVoid      RecordState = "void"      // its message was no valid job
	RecordDone      RecordState = "done"      // it has ended, its event perhaps not stored
	RecordTombstone RecordState = "tombstone" // its event is stored
)

// Job returns what Redis knows of the account's job; record is its id or, for a job without one,
// what [job.Delivery.Read] tells. It blocks as [Inspector.Account].
func (i *Inspector) Job(ctx context.Context, wcID, record string) (*Record, error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	text, err := i.redis.Get(ctx, keys{i.namespace, job.AccountToken(wcID)}.key(jobName, record)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read job: %w", err)
	}
	return parseRecord(text)
}

func parseRecord(text string) (*Record, error) {
	switch text {
	case "":
		return &Record{State: RecordNone}, nil
	case "1":
		return &Record{State: RecordTombstone}, nil
	}
	kind, rest, _ := strings.Cut(text, ":")
	at, _, _ := strings.Cut(rest, ":")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read job: %.20q is no record", text)
	}
	r := &Record{State: RecordState(kind), Since: milliTime(ms)}
	if r.State == RecordDone {
		if r.Result, err = parseDone(text); err != nil {
			return nil, err
		}
		if l := r.Result.Login; l != nil {
			l.Token, l.Data = "", ""
		}
	}
	return r, nil
}
