package servers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a server of one test's own.
type RedisServer struct {
	*Process        // nil where it is a container
	Addr     string // host:port, the same after a restart

	tb    testing.TB
	start func() (addr string, err error)
	kill  func()
}

// StartRedis starts a server with redis-server's command line options, by default
// without persistence. It ends with the test. It is a redis-server from the PATH, else
// a container; the test is skipped where there is neither.
func StartRedis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	port := FreePort(tb)
	process, missing := newRedis(tb.TempDir(), port, args)
	s := &RedisServer{Process: process, tb: tb}
	if missing == nil {
		process.TB, s.kill = tb, process.Kill
		s.start = func() (string, error) { process.Start(); return loopback(port), awaitRedis(loopback(port)) }
	} else {
		s.start = func() (addr string, err error) { addr, s.kill, err = runRedisContainer(port, args); return addr, err }
	}
	addr, err := s.start()
	if err != nil && missing != nil {
		Skip(tb, "needs a Redis of its own: %v", errors.Join(missing, err))
	} else if err != nil {
		tb.Fatalf("start redis: %v", err)
	}
	s.Addr = addr
	tb.Cleanup(s.Kill)
	return s
}

// Ask sends one command to a server and returns the reply as text. An error reply
// fails the test.
func Ask(tb testing.TB, addr string, command ...any) string {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	defer client.Close()
	reply, err := client.Do(context.Background(), command...).Result()
	if err != nil {
		tb.Fatalf("%v: %v", command, err)
	}
	return fmt.Sprint(reply)
}

// TryAsk is [Ask] for a server that may be down: it returns "" when there is no reply, or
// an error, within two seconds.
func TryAsk(addr string, command ...any) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true, DialerRetries: 1, MaxRetries: -1})
	defer client.Close()
	reply, err := client.Do(ctx, command...).Result()
	if err != nil {
		return ""
	}
	return fmt.Sprint(reply)
}

// URL returns redis:// and the address.
func (s *RedisServer) URL() string { return "redis://" + s.Addr }

// Kill ends the server as kill -9 does. It returns once it is gone.
func (s *RedisServer) Kill() { s.kill() }

// Start starts the server again, after [RedisServer.Kill], at the same address.
func (s *RedisServer) Start() {
	s.tb.Helper()
	if _, err := s.start(); err != nil {
		s.tb.Fatalf("start redis again: %v", err)
	}
}
