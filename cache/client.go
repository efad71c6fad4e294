package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/worker"
)

// Client implements [worker.Locker] on Redis. It is safe for concurrent use.
type Client struct {
	opts       Options
	scripts    scripts
	redis      redis.UniversalClient
	quarantine *quarantine
	mark       atomic.Value // a string, see [markName]; none where a loss of keys is not noticed
	learning   sync.Mutex
	stats      counters

	cluster *redis.ClusterClient // nil outside of a Cluster
	shard   *shard               // nil in a Cluster
	mu      sync.Mutex
	shards  map[string]*shard // by the addresses of the masters that calls were made to
	closed  bool              // so is each of them
	probes  atomic.Uint32
	closing chan struct{} // closed when Close is called
	running sync.WaitGroup
	close   func() error
}

// Open connects to Redis. It blocks until Redis has answered and proven that it runs
// the scripts, and logs now and then what it waits for. An error is returned when ctx
// ends, and at once for wrong options, a refused password or certificate, or missing
// permissions. The caller calls Close.
func Open(ctx context.Context, o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	universal, err := o.universal()
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	redis.SetLogger(redisLogger{o.Logger})
	c := &Client{
		opts: o, scripts: newScripts(&o, o.Lease()), quarantine: newQuarantine(&o),
		shards: make(map[string]*shard), closing: make(chan struct{}),
	}
	if o.Incarnations != nil {
		universal.OnConnect = c.quarantine.onConnect
	}
	c.redis = redis.NewUniversalClient(universal)
	c.close = sync.OnceValue(c.shut)
	switch to := c.redis.(type) {
	case *redis.ClusterClient:
		c.cluster, c.quarantine.cluster = to, true
	case *redis.Client:
		c.shard = c.shardTo(to)
		if o.Incarnations != nil {
			c.mark.Store("?") // no server has this one: the first ask learns the mark
		}
	}
	if err := c.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open redis %s: %w", redacted(o.URL), err), c.Close())
	}
	if o.Incarnations != nil {
		c.running.Go(c.watch)
	}
	return c, nil
}

// Close ends the connections. Calls that wait return [ErrClosed], pipelines that were
// sent are waited for, and what Shrink and Snooze left is sent. It blocks for at most
// about twice the time-out. Calls of Close after the first return the same.
func (c *Client) Close() error { return c.close() }

func (c *Client) shut() error {
	close(c.closing)
	c.mu.Lock()
	c.closed = true
	for _, s := range c.shards {
		s.close()
	}
	c.mu.Unlock()
	c.running.Wait()
	return c.redis.Close()
}

// Lease returns how long a lock lives: send window + confirm time-out + 1 s + 1 %.
func (c *Client) Lease() time.Duration { return c.opts.Lease() }

// Ping returns nil when Redis answers within the time-out: of a Cluster one of the masters.
// Where the one that answered last does not, a later call of Ping asks another.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	// A key leads to a master, which PING to a Cluster need not.
	if err := c.redis.Exists(ctx, c.keys(c.probe()).lock()).Err(); err != nil {
		c.probes.Add(1)
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// probe returns an account that no job can have, in a Cluster another one after each failure.
func (c *Client) probe() string {
	if n := c.probes.Load(); c.cluster != nil && n > 0 {
		return "\x00" + strconv.FormatUint(uint64(n), 10)
	}
	return ""
}

// ready blocks until Redis takes calls. See [Open] for its errors.
func (c *Client) ready(ctx context.Context) error {
	const retryEvery, logEvery = 300 * time.Millisecond, 10 * time.Second
	var logged time.Time
	var last error // before ctx ended: the reason
	for {
		err := c.try(ctx)
		if ctx.Err() == nil {
			last = err
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errors.Join(context.Cause(ctx), last)
		case redis.HasErrorPrefix(err, "MOVED"):
			return fmt.Errorf("the server belongs to a Cluster: give several of its nodes, comma-separated: %w", err)
		case permanent(err):
			return err
		case time.Since(logged) > logEvery:
			logged = time.Now()
			c.opts.Logger.WarnContext(ctx, "waiting for redis", "url", redacted(c.opts.URL), "error", c.explain(err))
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// try returns nil when Redis takes calls and may be trusted, but for what it may have forgotten.
func (c *Client) try(ctx context.Context) error {
	if c.opts.Incarnations != nil && c.cluster != nil {
		if err := c.admitNewCluster(ctx); err != nil {
			return err
		}
	}
	if err := c.Ping(ctx); err != nil {
		return err
	}
	if err := c.selfTest(ctx); err != nil {
		c.probes.Add(1)
		return err
	}
	if c.opts.Incarnations != nil && c.inspect(ctx) {
		return errEvicts
	}
	return nil
}

// selfTest locks and frees an account that no job can have, to see that the scripts
// and what they use are permitted. Once begun it goes on when ctx ends: the lock would stay.
func (c *Client) selfTest(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	a := worker.Ask{WcID: c.probe(), JobID: c.opts.Pod, Token: uuid.NewString(), Pod: c.opts.Pod}
	for answer := (worker.Answer{State: forgotten}); answer.State == forgotten; {
		var err error
		if answer, err = c.begin(ctx, a); err != nil {
			return err
		}
	}
	if _, err := c.Release(ctx, a); err != nil {
		return err
	}
	// Nobody would be told that Shrink is refused, which keeps Redis small.
	shrink := c.newCall(c.scripts.shrink, a.WcID)
	shrink.accountKeys(jobName, a.JobID, snoozedName, a.JobID)
	_, err := c.run(ctx, shrink)
	return err
}

// explain adds what it may mean that a server ends a connection without a word.
func (c *Client) explain(err error) error {
	if (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && !strings.HasPrefix(c.opts.URL, "rediss:") {
		return fmt.Errorf("%w: does the server want TLS, rediss://?", err)
	}
	return err
}

// permanent tells errors that waiting does not cure.
func permanent(err error) bool {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	if untrusted || notTLS || errors.Is(err, errNoID) || errors.Is(err, errEvicts) {
		return true
	}
	if unidentified, is := errors.AsType[identifyError](err); is {
		return permanent(unidentified.cause)
	}
	_, refused := errors.AsType[redis.Error](err)
	return refused && !slices.ContainsFunc(passing, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}

// passing are how the replies begin of a server that may take calls later.
var passing = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "max number of clients", "TRYAGAIN", "NOREPLICAS", "BUSY", "OOM", "MISCONF",
}

// Stats are counts since [Open].
type Stats struct {
	Commands     uint64        // scripts sent, also again; one may shrink, or snooze, many jobs
	Pipelines    uint64        // round trips that carried them; Commands/Pipelines is the mean batch
	Failed       uint64        // scripts that ended with an error
	Dropped      uint64        // calls of Shrink and Snooze that found their buffer full
	SuspendedFor time.Duration // how long no confirmation starts, from now, for some accounts at the least; see [IncarnationStore]
}

type counters struct{ commands, pipelines, failed, dropped atomic.Uint64 }

// Stats returns the counts.
func (c *Client) Stats() Stats {
	return Stats{
		Commands: c.stats.commands.Load(), Pipelines: c.stats.pipelines.Load(),
		Failed: c.stats.failed.Load(), Dropped: c.stats.dropped.Load(), SuspendedFor: c.quarantine.wait(anySlot),
	}
}
