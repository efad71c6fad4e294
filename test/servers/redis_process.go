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

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// newRedis returns a redis-server that has yet to be started.
func newRedis(dir string, port int, args []string) (*Process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	var file []string // a configuration file comes first; of options the last counts
	if len(args) > 0 && !strings.HasPrefix(args[0], "--") {
		file, args = args[:1], args[1:]
	}
	return &Process{Name: fmt.Sprint("redis-", port), Dir: dir, Args: slices.Concat([]string{path}, file,
		[]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no"}, args)}, nil
}

// runRedis starts a redis-server that is no test's own.
func runRedis() (addr string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	p, err := newRedis(os.TempDir(), port, nil)
	if err != nil {
		return "", nil, err
	}
	if _, err := p.start(nil); err != nil {
		return "", nil, err
	}
	if err := awaitRedis(loopback(port)); err != nil {
		p.Kill()
		return "", nil, err
	}
	return loopback(port), p.Kill, nil
}

// runRedisContainer starts a container; port 0 is any. stop kills it, and may be called again.
func runRedisContainer(port int, args []string) (addr string, stop func(), err error) {
	if testing.Short() {
		return "", nil, errors.New("go test -short starts no container")
	}
	if err := pingDocker(); err != nil {
		return "", nil, err
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
	stop = sync.OnceFunc(func() { _ = testcontainers.TerminateContainer(server, testcontainers.StopTimeout(0)) })
	if err == nil {
		addr, err = server.Endpoint(ctx, "")
	}
	if err == nil {
		err = awaitRedis(addr)
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("run redis container: %w", err)
	}
	return addr, stop, nil
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
