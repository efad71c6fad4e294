package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

func TestOptions(t *testing.T) {
	good := Options{URL: "redis://h", SendWindow: 2 * time.Second, ConfirmTimeout: 5 * time.Minute}
	cases := map[string]struct {
		change func(*Options)
		want   []string // in the error; none: it is fine
	}{
		"defaults": {func(*Options) {}, nil},
		"all wrong": {func(o *Options) {
			*o = Options{URL: "x", Namespace: "a{b}", MinConfirmTime: -1, JobMemory: -1, DailyPrompts: -1, GatewayRate: -1, Timeout: -1, EventMaxAge: 1}
		}, []string{"braces", "send window", "confirm time-out", "minimal", "memory", "event age", "daily", "rate", "time-out -1"}},
		"scheme":     {func(o *Options) { o.URL = "http://h" }, []string{"scheme"}},
		"not a URL":  {func(o *Options) { o.URL = "redis://u:secret@h:port/%" }, []string{"not a URL"}},
		"option":     {func(o *Options) { o.URL = "redis://h?max_retries=3" }, []string{"max_retries", "skip_verify"}},
		"cluster db": {func(o *Options) { o.URL = "redis://h/1,redis://i" }, []string{"database 0"}},
		"cluster":    {func(o *Options) { o.URL = "rediss://h?skip_verify=true, i:7000" }, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			err := o.check()
			if err == nil {
				_, err = o.universal()
			}
			if (err != nil) != (c.want != nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not tell %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q tells the password", err)
			}
		})
	}
	if err := good.check(); err != nil || good.Lease() != 306020*time.Millisecond {
		t.Errorf("lease %v, %v", good.Lease(), err)
	}
	if got := redacted("redis://u:secret@h/1?x=secret, redis://:secret@i"); strings.Contains(got, "secret") {
		t.Errorf("redacted %q", got)
	}
}

// TestOpenRefused has what waiting does not cure.
func TestOpenRefused(t *testing.T) {
	server := servers.StartRedis(t, strings.Fields("--requirepass right --user weak on >pw ~* +exists +client|setname +info")...)
	for name, c := range map[string]struct{ userinfo, want string }{
		"no password":    {"", "NOAUTH"},
		"wrong password": {":wrong@", "WRONGPASS"},
		"permissions":    {"weak:pw@", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := Open(ctx, Options{URL: "redis://" + c.userinfo + server.Addr, SendWindow: 1, ConfirmTimeout: 1})
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), "wrong@") {
				t.Errorf("error %q tells the password", err)
			}
		})
	}
	_, err := Open(t.Context(), Options{URL: "redis://:right@" + server.Addr + "/99", SendWindow: 1, ConfirmTimeout: 1})
	if err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("error %v", err)
	}
}

// TestPermissions opens with what the package comment says is enough, and uses all of it.
func TestPermissions(t *testing.T) {
	server := servers.StartRedis(t, strings.Fields("--user default off nopass +ping --user relogin on >pw ~test-* "+
		"+client|setname +info +time +exists +evalsha +eval +get +getrange +set +del +incr +pexpire +pttl "+
		"+hset +hmget +lindex +lrem +rpush +ltrim")...)
	f := open(t, "redis://relogin:pw@"+server.Addr, trusting(&ledger{}), func(o *Options) {
		o.DailyPrompts, o.GatewayRate, o.ConfirmTimeout = 2, 1, time.Minute
	})
	f.tb = discard{t} // KEYS is not allowed
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	f.mustBegin(f.ask("k", "b"), worker.Held)
	end := f.end("j", "a", job.Failed)
	end.Cooldown = time.Millisecond
	f.mustFinish(end, nil)
	f.mustBegin(f.ask("k", "b"), worker.Shared)
	f.mustRelease(f.ask("k", "b"))
	f.Shrink("wxid_1", "j")
	f.Snooze("wxid_1", "k")
	servers.Eventually(t, "snoozed", func() bool {
		n, err := f.Snoozed(t.Context(), "wxid_1", "k")
		return n == 1 && err == nil
	})
	if _, _, err := f.Reserve(t.Context(), "t", time.Second); err != nil {
		t.Error(err)
	}
	if s := f.Stats(); s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
}

// lines collects log lines.
type lines struct {
	sync.Mutex
	strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Builder.Write(p)
}

// TestOpenWaits has a server that comes late.
func TestOpenWaits(t *testing.T) {
	server := servers.StartRedis(t)
	server.Kill()
	var log lines
	o := Options{
		URL: "redis://:secret@" + server.Addr, SendWindow: 1, ConfirmTimeout: 1,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	o.URL = server.URL()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	var opened sync.WaitGroup
	opened.Go(func() {
		c, err := Open(t.Context(), o)
		if err != nil {
			t.Error(err)
			return
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(100 * time.Millisecond)
	server.Start()
	opened.Wait()
	if text := log.String(); strings.Count(text, "waiting for redis") != 2 {
		t.Errorf("log %q", text)
	}
}

// TestServerName has each server's certificate name that server, not the URL's first one.
func TestServerName(t *testing.T) {
	for url, want := range map[string]string{
		"rediss://one:6379": "one", "rediss://one:6379,two:6379": "", "rediss://sentinels:26379 main": "",
	} {
		addrs, master, _ := strings.Cut(url, " ")
		o := Options{URL: addrs, SentinelMaster: master}
		u, err := o.universal()
		if err != nil || u.TLSConfig.ServerName != want {
			t.Errorf("%s: server name %q, %v", url, u.TLSConfig.ServerName, err)
		}
	}
}

// TestHopeless tells what a worker waits for at its start from what ends it.
func TestHopeless(t *testing.T) {
	for text, want := range map[string]bool{
		"NOREPLICAS Not enough good replicas to write.":                              false,
		"OOM command not allowed when used memory > 'maxmemory'.":                    false,
		"MISCONF Errors writing to the AOF file: No space left on device":            false,
		"WRONGPASS invalid username-password pair or user is disabled.":              true,
		"NOPERM User relogin has no permissions to run the 'hset' command":           true,
		"ERR unknown command 'evalsha', with args beginning with: 'da39a3ee5e6b4b0'": true,
	} {
		if got := permanent(fmt.Errorf("ping redis: %w", refusal(text))); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError implements [redis.Error].
func (refusal) RedisError() {}

// TestOpenInterrupted interrupts Open at any moment: what it tries out leaves no lock.
func TestOpenInterrupted(t *testing.T) {
	server := servers.StartRedis(t)
	for range 300 {
		o := Options{
			URL: server.URL(), Namespace: servers.Namespace(t), Pod: "pod", SendWindow: time.Second, ConfirmTimeout: time.Minute,
			Logger: slog.New(slog.DiscardHandler),
		}
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(4*time.Millisecond))
		c, err := Open(ctx, o)
		cancel()
		if err == nil {
			err = c.Close()
		} else if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if left := servers.Ask(t, server.Addr, "KEYS", o.Namespace+":*"); left != "[]" {
			t.Fatalf("left behind: %s", left)
		}
	}
}
