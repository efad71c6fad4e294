package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// The addresses where other commands look first. A server whose own is taken gets any port.
const (
	natsAddr    = "127.0.0.1:4222"
	redisAddr   = "127.0.0.1:6379"
	gatewayAddr = "127.0.0.1:18081"
	consoleAddr = "127.0.0.1:8081"
	anyPort     = "127.0.0.1:0"
)

const (
	natsPatience = 10 * time.Second      // for the server to start, with the queue that it finds
	redisTick    = 20 * time.Millisecond // that keys may go too early: a lease has more than a second to spare
)

// background starts do, and returns what ends its context and waits for it.
func background(do func(context.Context)) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { do(ctx) })
	return func() { stop(); running.Wait() }
}

// dataDir returns the directory of the queue, which is this process's alone until cleanUp is
// called. One that is temporary is removed then. The lock on another goes with the process,
// however that ends; its file stays.
func dataDir(dir string) (path string, cleanUp func(), err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "relogin-dev"); err != nil {
			return "", nil, fmt.Errorf("make data directory: %w", err)
		}
		return dir, func() { _ = os.RemoveAll(dir) }, nil // the system cleans up what is left
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	taken, err := lock.TryLock()
	switch {
	case errors.Is(err, os.ErrPermission):
		return "", nil, fmt.Errorf("the data directory can't be written to: %w", err)
	case err != nil:
		return "", nil, fmt.Errorf("lock data directory: %w", err)
	case !taken:
		return "", nil, fmt.Errorf("another relogin dev uses the data directory %s: stop that one, or name another directory by --data-dir", dir)
	}
	return dir, func() { _ = lock.Unlock() }, nil
}

// startNATS starts the server with its files in the directory.
func (d *dev) startNATS(_ context.Context, dir string) (end func(), err error) {
	dir = filepath.Join(dir, "nats")
	o := &server.Options{ServerName: "relogin-dev", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: dir}
	if l, err := net.Listen("tcp", natsAddr); err == nil {
		o.Port = l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	trouble := make(natsTrouble, 1)
	s.SetLoggerV2(trouble, false, false, false)
	s.Start()
	select {
	case err = <-trouble:
	default:
		if !s.ReadyForConnections(natsPatience) {
			err = fmt.Errorf("it was not ready within %v", natsPatience)
		}
	}
	end = func() { s.Shutdown(); s.WaitForShutdown() }
	if err != nil {
		end()
		return nil, fmt.Errorf("start nats with its files in %s: %w", dir, err)
	}
	d.Settings.NATS.Options.URL = s.ClientURL()
	return end, nil
}

// natsTrouble is the server's log. It holds the first line that says why the server ended.
type natsTrouble chan error

func (t natsTrouble) Fatalf(format string, args ...any) {
	select {
	case t <- fmt.Errorf(format, args...):
	default:
	}
}

func (natsTrouble) Errorf(string, ...any)  {}
func (natsTrouble) Warnf(string, ...any)   {}
func (natsTrouble) Noticef(string, ...any) {}
func (natsTrouble) Debugf(string, ...any)  {}
func (natsTrouble) Tracef(string, ...any)  {}

// startRedis starts miniredis, and what makes its keys expire.
func (d *dev) startRedis(context.Context, string) (end func(), err error) {
	r := miniredis.NewMiniRedis()
	if err = r.StartAddr(redisAddr); err != nil {
		err = r.StartAddr(anyPort)
	}
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	d.Settings.Redis.URL = "redis://" + r.Addr() + "/0"
	stopAging := background(func(ctx context.Context) { ageKeys(ctx, r) })
	return func() { stopAging(); r.Close() }, nil
}

// ageKeys makes keys expire until ctx ends. After a pause of the process they live longer
// by as much, never shorter: what passed before a key was set must not count against it.
// (ClockTTL is exact, but looks at all keys at each command.)
func ageKeys(ctx context.Context, r *miniredis.Miniredis) {
	tick := time.NewTicker(redisTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.FastForward(redisTick)
		case <-ctx.Done():
			return
		}
	}
}

// startGateway starts the simulated gateway, if there is to be one, and tells the worker of it
// and of a tenant whose credential it refuses.
func (d *dev) startGateway(ctx context.Context, dir string) (end func(), err error) {
	if !d.Simulate {
		return func() {}, nil
	}
	listener, err := httpserver.Listen(ctx, gatewayAddr)
	if err != nil {
		listener, err = httpserver.Listen(ctx, anyPort)
	}
	if err != nil {
		return nil, err
	}
	s := &d.Settings.Gateway
	s.URL, s.TenantsFile = "http://"+listener.Addr().String(), filepath.Join(dir, "tenants.yaml")
	tenants := fmt.Sprintf("expired:\n  url: %s\n  authorization: a credential that has expired\n", s.URL)
	if err := os.WriteFile(s.TenantsFile, []byte(tenants), 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("write tenants file: %w", err)
	}
	d.gateway = gatewaytest.New(gatewaytest.Options{ConfirmAfter: time.Second, Jitter: time.Second, PromptLife: 5 * time.Second})
	d.gateway.Set("lost-lily", gatewaytest.Behaviour{Answer: gatewaytest.Ignore, Fault: gatewaytest.Reset})
	stopServing := background(func(ctx context.Context) { _ = httpserver.Serve(ctx, listener, &http.Server{Handler: d.gateway}) })
	return func() { d.gateway.Close(); stopServing() }, nil
}
