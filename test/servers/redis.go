package servers

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/redis/go-redis/v9"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	startTimeout  = 10 * time.Second
	dockerTimeout = 2 * time.Second
	imageTimeout  = 90 * time.Second // with pulling the image
)

// Redis returns the URL of a Redis server for the test: a real one that the tests of
// this binary share, or an embedded one of its own. Keep to a [Namespace].
func Redis(tb testing.TB) string {
	tb.Helper()
	if url, err := sharedRedis(); err == nil {
		return url
	}
	return EmbeddedRedis(tb)
}

// RealRedis is [Redis], and skips the test where only the embedded server is there.
func RealRedis(tb testing.TB) string {
	tb.Helper()
	url, err := sharedRedis()
	if err != nil {
		skip(tb, "needs a real Redis: %v", err)
	}
	return url
}

// EmbeddedRedis returns the URL of a miniredis whose keys expire with the clock. It
// ends with the test.
func EmbeddedRedis(tb testing.TB) string {
	tb.Helper()
	server := miniredis.RunT(tb)
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case now := <-tick.C:
				server.FastForward(now.Sub(last))
				last = now
			case <-stop:
				return
			}
		}
	})
	tb.Cleanup(func() { close(stop); running.Wait() })
	return "redis://" + server.Addr()
}

// Namespace returns a namespace that no other test uses, also not in another run.
func Namespace(tb testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, tb.Name())
	return fmt.Sprintf("test-%s-%x", name, time.Now().UnixNano())
}

// Exit ends what the tests of this binary shared, and then the process. Call it at the
// end of TestMain.
func Exit(code int) {
	shared.Lock()
	for _, stop := range shared.stops {
		stop()
	}
	os.Exit(code)
}

var shared struct {
	sync.Mutex
	stops []func()
}

var sharedRedis = sync.OnceValues(func() (string, error) {
	if url := os.Getenv("RELOGIN_TEST_REDIS_URL"); url != "" {
		return url, nil
	}
	server, err := runRedisContainer(0, nil)
	if err != nil {
		var local error
		if server, local = runRedis(os.TempDir(), 0, nil); local != nil {
			return "", errors.Join(err, local)
		}
	}
	shared.Lock()
	defer shared.Unlock()
	shared.stops = append(shared.stops, server.stop)
	return "redis://" + server.addr, nil
})

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
	dir, port := tb.TempDir(), freePort(tb)
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

// StartRedisCluster starts a Cluster of three masters, and returns their addresses.
// It needs a redis-server on the PATH, and skips the test without.
func StartRedisCluster(tb testing.TB) []string {
	tb.Helper()
	NeedRedisServer(tb)
	var addrs []string
	for i := range 3 {
		node := StartRedis(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		addrs = append(addrs, node.Addr)
		first, last := i*16384/3, (i+1)*16384/3-1
		Ask(tb, node.Addr, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
	}
	for _, addr := range addrs[1:] {
		host, port, _ := net.SplitHostPort(addr)
		Ask(tb, addrs[0], "CLUSTER", "MEET", host, port)
	}
	for _, addr := range addrs {
		for until := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
			info := Ask(tb, addr, "CLUSTER", "INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
				break
			}
			if time.Now().After(until) {
				tb.Fatalf("the cluster does not come up:\n%s", info)
			}
		}
	}
	return addrs
}

// StartRedisSentinel starts a sentinel that watches the server as the master named
// main, alone decides that it is down, after half a second, and fails over to one of
// its replicas. It needs a redis-server on the PATH, and skips the test without.
func StartRedisSentinel(tb testing.TB, master *RedisServer) *RedisServer {
	tb.Helper()
	NeedRedisServer(tb)
	host, port, _ := net.SplitHostPort(master.Addr)
	config := tb.TempDir() + "/sentinel.conf"
	text := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 500\n"+
		"sentinel failover-timeout main 3000\n", host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return StartRedis(tb, config, "--sentinel")
}

// NeedRedisServer skips the test where no redis-server is on the PATH.
func NeedRedisServer(tb testing.TB) {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		skip(tb, "needs several servers: %v", err)
	}
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

// redisProcess is a running server; stop kills it, waits, and may be called again.
type redisProcess struct {
	addr string
	stop func()
}

// runRedis starts redis-server; port 0 is any. A shell holds it, and kills it when its
// input ends: so it doesn't outlive this process, however that one dies.
func runRedis(dir string, port int, args []string) (p *redisProcess, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	if port == 0 {
		if port, err = pickPort(); err != nil {
			return nil, err
		}
	}
	var file []string // a configuration file comes first; of options the last counts
	if len(args) > 0 && !strings.HasPrefix(args[0], "--") {
		file, args = args[:1], args[1:]
	}
	holder := exec.Command("sh", slices.Concat([]string{"-c", `"$@" & cat >/dev/null; kill -9 $!; wait`, "sh", path}, file,
		[]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
			"--daemonize", "no", "--loglevel", "warning"}, args)...)
	holder.Dir = dir
	input, err := holder.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, err
	}
	p = &redisProcess{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	p.stop = sync.OnceFunc(func() { _ = input.Close(); _ = holder.Wait() })
	if err := awaitRedis(p.addr); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// runRedisContainer starts a container; port 0 is any.
func runRedisContainer(port int, args []string) (*redisProcess, error) {
	if err := pingDocker(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), imageTimeout)
	defer cancel()
	bound := func(host *container.HostConfig) {
		if port != 0 {
			host.PortBindings = network.PortMap{network.MustParsePort("6379/tcp"): {{HostPort: strconv.Itoa(port)}}}
		}
	}
	server, err := testcontainers.Run(ctx, cmp.Or(os.Getenv("RELOGIN_TEST_REDIS_IMAGE"), "redis:7-alpine"),
		testcontainers.WithExposedPorts("6379/tcp"), testcontainers.WithHostConfigModifier(bound), testcontainers.WithCmd(args...),
		testcontainers.WithWaitStrategy(wait.ForListeningPort("6379/tcp").SkipInternalCheck()))
	stop := func() { _ = testcontainers.TerminateContainer(server, testcontainers.StopTimeout(0)) }
	var addr string
	if err == nil {
		addr, err = server.Endpoint(ctx, "")
	}
	if err == nil {
		err = awaitRedis(addr)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("run redis container: %w", err)
	}
	return &redisProcess{addr: addr, stop: sync.OnceFunc(stop)}, nil
}

// pingDocker returns an error unless a daemon answers quickly.
func pingDocker() error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerTimeout)
	defer cancel()
	provider, err := testcontainers.NewDockerProvider()
	if err == nil {
		err = provider.Health(ctx)
	}
	if err != nil {
		return fmt.Errorf("ask docker: %w", err)
	}
	return nil
}

// awaitRedis blocks until the server at addr answers, be it that it wants a password.
func awaitRedis(addr string) (err error) {
	for until := time.Now().Add(startTimeout); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if err = pingRedis(addr); err == nil {
			return nil
		}
	}
	return err
}

func pingRedis(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+PONG") && !strings.HasPrefix(line, "-NOAUTH") {
		err = errors.New(strings.TrimSpace(line))
	}
	return err
}

func freePort(tb testing.TB) int {
	tb.Helper()
	port, err := pickPort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// pickPort returns a port that is free, with the one 10000 above it, which a Cluster's
// nodes use, in range.
func pickPort() (int, error) {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, err
		}
		if port+10000 < 1<<16 {
			return port, nil
		}
	}
}

// skip skips the test; with CI=true it fails instead.
func skip(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf(format, args...)
	}
	tb.Skipf(format, args...)
}
