package cache

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(servers.Exit),
		// The shared server, where it is a process.
		goleak.IgnoreAnyFunction("github.com/relogin/relogin/test/servers.(*Process).start.func1"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"),
		// The connection to Docker, where it is a container.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1"),
		// go-redis's pools of servers that are gone look once a second whether they are closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// fixture is a client in a namespace of its own, and a look behind it.
type fixture struct {
	*Client
	tb  testing.TB
	raw redis.UniversalClient
	now time.Time // about the server's time
}

// open opens a client on url with a lease of about a minute, unless change says other.
func open(tb testing.TB, url string, change ...func(*Options)) *fixture {
	tb.Helper()
	o := Options{
		URL: url, Namespace: servers.Namespace(tb), Pod: "pod-a",
		SendWindow: 2 * time.Second, ConfirmTimeout: time.Minute, MinConfirmTime: 20 * time.Second,
		JobMemory: time.Hour, Logger: slog.New(slog.DiscardHandler),
	}
	if os.Getenv("CACHE_TEST_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, f := range change {
		f(&o)
	}
	if l, ok := o.Incarnations.(*ledger); ok {
		l.Lock()
		l.lease = max(l.lease, o.Lease())
		l.Unlock()
	}
	c, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	f := &fixture{Client: c, tb: tb, raw: c.redis, now: time.Now()}
	tb.Cleanup(func() {
		for keys := range slices.Chunk(f.keysLeft(), 1000) {
			_, _ = f.raw.Pipelined(context.Background(), func(p redis.Pipeliner) error {
				for _, key := range keys {
					p.Del(context.Background(), key)
				}
				return nil
			})
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// keysLeft returns the keys of the namespace.
func (f *fixture) keysLeft() []string {
	keys, err := f.raw.Keys(context.Background(), f.opts.Namespace+":*").Result()
	if err != nil && f.tb.Context().Err() == nil {
		f.tb.Error(err)
	}
	return keys
}

// Keys of an account that tests alone look at.
func (k keys) last(tenant string) string { return k.key(lastName, tenant) }
func (k keys) cool() string              { return k.key(coolName, "") }
func (k keys) prompts() string           { return k.key(promptsName, "") }
func (k keys) waiting() string           { return k.key(waitingName, "") }
func (k keys) job(id string) string      { return k.key(jobName, id) }
func (k keys) snoozed(id string) string  { return k.key(snoozedName, id) }

func (f *fixture) markKey() string { return f.opts.Namespace + markName }

// quietClient returns a client like c whose Shrink and Snooze only queue.
func quietClient(c *Client) *Client {
	quiet := &Client{opts: c.opts, scripts: c.scripts, redis: c.redis}
	quiet.shard = &shard{Client: quiet, late: time.AfterFunc(time.Hour, func() {})}
	return quiet
}

// mustTidy blocks until what Shrink and Snooze were given so far has been sent.
func (f *fixture) mustTidy() {
	f.tb.Helper()
	servers.Eventually(f.tb, "tidied", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, s := range f.shards {
			s.mu.Lock()
			busy := s.tidyings != nil || s.flushers > 0
			s.mu.Unlock()
			if busy {
				return false
			}
		}
		return true
	})
}

func (f *fixture) ask(job, token string) worker.Ask {
	return worker.Ask{
		WcID: "wxid_1", JobID: job, Tenant: "t", Token: token, Pod: "pod-a",
		StoredAt: time.UnixMilli(1700000000123),
	}
}

// mustBegin begins and checks the state.
func (f *fixture) mustBegin(a worker.Ask, want worker.State) worker.Answer {
	f.tb.Helper()
	answer, err := f.Begin(f.tb.Context(), a)
	if err != nil {
		f.tb.Fatal(err)
	}
	if answer.State != want {
		f.tb.Fatalf("Begin(%s, %q) = %+v, want %s", a.JobID, a.Token, answer, want)
	}
	if d := time.Since(answer.Now); d < -time.Second || d > time.Second {
		f.tb.Fatalf("Now is %v off", d)
	}
	return answer
}

func (f *fixture) end(j, token string, outcome job.Outcome) worker.Conclusion {
	return worker.Conclusion{
		WcID: "wxid_1", JobID: j, Tenant: "t", Token: token, StoredAt: time.UnixMilli(1700000000123),
		Result: job.Result{
			Outcome: outcome, Code: "1000", Prompted: token != "", FinishedAt: time.UnixMilli(1700000001000),
			Login: &job.Login{WcID: "wxid_1", Token: "s\x00e\ncret", NickName: "阿😀"},
		},
	}
}

// mustFinish finishes and checks the error, and without one that the result is as given.
func (f *fixture) mustFinish(c worker.Conclusion, want error) job.Result {
	f.tb.Helper()
	finished, err := f.Finish(f.tb.Context(), c)
	if err != want {
		f.tb.Fatalf("Finish(%s, %q) error = %v, want %v", c.JobID, c.Token, err, want)
	}
	return finished.Result
}

func (f *fixture) mustRelease(a worker.Ask) {
	f.tb.Helper()
	if _, err := f.Release(f.tb.Context(), a); err != nil {
		f.tb.Fatal(err)
	}
}

// everywhere runs the test against a real server and against the embedded one.
func everywhere(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("real", func(t *testing.T) { t.Parallel(); test(t, servers.RealRedis(t)) })
	t.Run("embedded", func(t *testing.T) { t.Parallel(); test(t, servers.EmbeddedRedis(t)) })
}
