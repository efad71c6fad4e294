package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
)

type options struct {
	rounds, jobs, backlog int
	binary, report        string // report: its path; "" for none
	contestants           string
	open                  []int
}

// lab is the servers, and what all experiments share.
type lab struct {
	options
	dir    string
	tables tables

	natsURL, redisURL, gatewayURL, gatewayControl string

	natsServer, redisServer, gateway *process

	nc    *nats.Conn
	js    jetstream.JetStream
	redis *redis.Client
	runs  int // names namespaces
}

func newLab(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{options: o}
	if l.dir, err = os.MkdirTemp("", "relogin-bench"); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{l.build, l.startNATS, l.startRedis, l.startGateway} {
		if err := step(ctx); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// build compiles what is measured, and the server that it is measured with.
func (l *lab) build(ctx context.Context) error {
	if l.binary == "" {
		l.binary = filepath.Join(l.dir, "relogin")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", l.binary, "./cmd/relogin")
		build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build relogin: %w\n%s", err, out)
		}
	}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(l.dir, "nats-server"), "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return nil
}

func (l *lab) startNATS(context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	l.natsURL = fmt.Sprintf("nats://127.0.0.1:%d", port)
	l.natsServer, err = start(l.log("nats"), nil, filepath.Join(l.dir, "nats-server"),
		"--addr", "127.0.0.1", "--port", fmt.Sprint(port), "--jetstream", "--store_dir", filepath.Join(l.dir, "jetstream"))
	if err != nil {
		return err
	}
	err = until(20*time.Second, 50*time.Millisecond, "for nats-server", func() bool {
		l.nc, err = nats.Connect(l.natsURL)
		return err == nil
	})
	if err == nil {
		l.js, err = jetstream.New(l.nc, jetstream.WithPublishAsyncMaxPending(4096))
	}
	return err
}

func (l *lab) startRedis(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	l.redisURL = fmt.Sprintf("redis://127.0.0.1:%d/0", port)
	l.redisServer, err = start(l.log("redis"), nil, "redis-server",
		"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--appendonly", "no", "--dir", l.dir)
	if err != nil {
		return err
	}
	o, err := redis.ParseURL(l.redisURL)
	if err != nil {
		return err
	}
	l.redis = redis.NewClient(o)
	return until(20*time.Second, 50*time.Millisecond, "for redis-server", func() bool { return l.redis.Ping(ctx).Err() == nil })
}

func (l *lab) startGateway(context.Context) error {
	var addresses [2]string
	for i := range addresses {
		port, err := freePort()
		if err != nil {
			return err
		}
		addresses[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	l.gatewayURL, l.gatewayControl = "http://"+addresses[0], addresses[1]
	self, err := os.Executable()
	if err != nil {
		return err
	}
	l.gateway, err = start(l.log("gateway"), []string{"BENCH_GATEWAY=" + addresses[0], "BENCH_CONTROL=" + addresses[1]}, self, "run", "gateway")
	if err != nil {
		return err
	}
	return until(20*time.Second, 50*time.Millisecond, "for the gateway", func() bool { return l.control("/state") == nil })
}

func (l *lab) log(name string) string { return filepath.Join(l.dir, name+".log") }

// close ends everything, and removes what it wrote.
func (l *lab) close() {
	if l.nc != nil {
		l.nc.Close()
	}
	for _, p := range []*process{l.gateway, l.redisServer, l.natsServer} {
		if p != nil {
			p.kill()
		}
	}
	_ = os.RemoveAll(l.dir)
}

// contest is one contestant's run in a namespace of its own.
type contest struct {
	*lab
	name      string
	namespace string
	flags     []string // of relogin worker
	environ   []string // of the others
	pods      []*process
}

// prepare empties the servers, and makes the streams.
func (l *lab) prepare(ctx context.Context, name string, flags ...string) (*contest, error) {
	l.runs++
	c := &contest{lab: l, name: name, namespace: fmt.Sprintf("b%d", l.runs), flags: flags}
	if err := l.empty(ctx); err != nil {
		return nil, err
	}
	args := []string{"setup", "--nats-url", l.natsURL, "--namespace", c.namespace}
	if i := slices.Index(flags, "--job-memory"); i >= 0 {
		args = append(args, flags[i:i+2]...) // the streams remember ids for no longer
	}
	out, err := exec.CommandContext(ctx, l.binary, args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("set up: %w\n%s", err, out)
	}
	return c, nil
}

func (l *lab) empty(ctx context.Context) error {
	for name := range l.js.StreamNames(ctx).Name() {
		if err := l.js.DeleteStream(ctx, name); err != nil {
			return fmt.Errorf("empty nats: %w", err)
		}
	}
	return l.redis.FlushAll(ctx).Err()
}

// launch starts one process of the contestant.
func (c *contest) launch() (*process, error) {
	var p *process
	var err error
	log := c.log(fmt.Sprintf("%s-%s-%d", c.namespace, c.name, len(c.pods)))
	if c.name == "relogin" {
		args := append([]string{"worker", "--nats-url", c.natsURL, "--redis-url", c.redisURL, "--gateway-url", c.gatewayURL,
			"--namespace", c.namespace, "--pod", fmt.Sprintf("pod-%d", len(c.pods))}, c.flags...)
		p, err = start(log, nil, c.binary, args...)
	} else {
		self, executable := os.Executable()
		if executable != nil {
			return nil, executable
		}
		p, err = start(log, append(c.environ, "BENCH_NATS="+c.natsURL, "BENCH_REDIS="+c.redisURL, "BENCH_GATEWAY="+c.gatewayURL, "BENCH_NAMESPACE="+c.namespace), self, "run", c.name)
	}
	if err == nil {
		c.pods = append(c.pods, p)
	}
	return p, err
}

func (c *contest) stop() {
	for _, p := range c.pods {
		p.stop()
	}
}

func (c *contest) stream(what string) string { return strings.ToUpper(c.namespace) + "_" + what }
