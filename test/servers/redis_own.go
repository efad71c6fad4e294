package servers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a server of one test's own.
type RedisServer struct {
	Addr string // host:port, the same after a restart

	tb    testing.TB
	start func() (*redisProcess, error)
	now   *redisProcess
}

// StartRedis starts a server with redis-server's command line options, by default
// without persistence. It ends with the test. It is a redis-server from the PATH, else
// a container; the test is skipped where there is neither.
func StartRedis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	s := &RedisServer{tb: tb}
	dir, port := tb.TempDir(), FreePort(tb)
	s.start = func() (*redisProcess, error) {
		return runRedis(dir, port, args)
	}
	_, missing := exec.LookPath("redis-server")
	if missing != nil {
		s.start = func() (*redisProcess, error) { return runRedisContainer(port, args) }
	}
	now, err := s.start()
	if err != nil && missing != nil {
		skip(tb, "needs a Redis of its own: %v", errors.Join(missing, err))
	} else if err != nil {
		tb.Fatalf("start redis: %v", err)
	}
	s.now, s.Addr = now, now.addr
	tb.Cleanup(func() { s.now.stop() })
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

// URL returns redis:// and the address.
func (s *RedisServer) URL() string { return "redis://" + s.Addr }

// Kill ends the server as kill -9 does. It returns once it is gone.
func (s *RedisServer) Kill() { s.now.stop() }

// Start starts the server again, after [RedisServer.Kill], at the same address.
func (s *RedisServer) Start() {
	s.tb.Helper()
	now, err := s.start()
	if err != nil {
		s.tb.Fatalf("start redis again: %v", err)
	}
	s.now = now
}
