package cache

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestConnectionNotSetUp has servers that refuse what comes before the first command of a
// new connection: every call returns the error.
func TestConnectionNotSetUp(t *testing.T) {
	single := func(t *testing.T) (string, []string) { s := servers.StartRedis(t); return s.URL(), []string{s.Addr} }
	cluster := func(t *testing.T) (string, []string) {
		addrs := servers.StartRedisCluster(t)
		return "redis://" + strings.Join(addrs, ","), addrs
	}
	for name, c := range map[string]struct {
		start  func(t *testing.T) (url string, addrs []string)
		refuse func(t *testing.T, addr string)
		want   string
	}{
		"a password":            {single, setPassword, "NOAUTH"},
		"a script that hangs":   {single, hang, "BUSY"},
		"Cluster: password":     {cluster, setPassword, ""}, // go-redis does not tell
		"Cluster: script hangs": {cluster, hang, "BUSY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, addrs := c.start(t)
			f := open(t, url, trusting(&ledger{}), func(o *Options) { o.GatewayRate, o.DailyPrompts = 10, 3 })
			servers.Eventually(t, "granted", func() bool {
				answer, err := f.Begin(t.Context(), f.ask("j", "a"))
				return err == nil && answer.State == worker.Granted
			})
			for _, addr := range addrs {
				c.refuse(t, addr)
			}
			for call, err := range f.everyCall(t.Context()) {
				if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, worker.ErrLeaseLost) {
					t.Errorf("%s: error %v", call, err)
				}
			}
		})
	}
}

// everyCall makes each call that says whether it worked, and returns their errors.
func (f *fixture) everyCall(ctx context.Context) map[string]error {
	_, begin := f.Begin(ctx, f.ask("k", "b"))
	_, finish := f.Finish(ctx, f.end("j", "a", job.Succeeded))
	_, release := f.Release(ctx, f.ask("j", "a"))
	_, snoozed := f.Snoozed(ctx, "wxid_1", "j")
	_, _, reserve := f.Reserve(ctx, "t", time.Second)
	return map[string]error{
		"Begin": begin, "Finish": finish, "Release": release, "Snoozed": snoozed, "Reserve": reserve,
		"Ping": f.Ping(ctx), "Clear": f.Clear(ctx),
	}
}

// setPassword ends the server's connections, and has new ones refused.
func setPassword(t *testing.T, addr string) {
	c := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	for _, command := range [][]any{{"CONFIG", "SET", "requirepass", "secret"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if err := c.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = c.Do(context.Background(), "CONFIG", "SET", "requirepass", "").Err() })
}

// hang ends the server's connections, and has all commands of new ones refused.
func hang(t *testing.T, addr string) {
	servers.Ask(t, addr, "CONFIG", "SET", "busy-reply-threshold", "10")
	servers.Ask(t, addr, "CLIENT", "KILL", "TYPE", "normal")
	script := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true, ReadTimeout: time.Minute, MaxRetries: -1})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = script.Eval(context.Background(), "while true do end", nil).Err()
	}()
	kill := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		if err := kill.ScriptKill(context.Background()).Err(); err != nil {
			t.Error(err)
		}
		<-ended
		_, _ = kill.Close(), script.Close()
	})
	servers.Eventually(t, "busy", func() bool { return redis.HasErrorPrefix(kill.Ping(t.Context()).Err(), "BUSY") })
}
