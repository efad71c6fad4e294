package dev

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// Ports where other commands look first.
const (
	natsPort    = 4222
	redisPort   = 6379
	gatewayPort = 18081
)

// natsPatience is how long the embedded NATS server may take to start, with the queue that
// it finds.
const natsPatience = 10 * time.Second

// redisTick is how coarse the embedded Redis' expiry is: a key may go so much too early,
// and a lease has more than a second to spare.
const redisTick = 20 * time.Millisecond

// embedded are the servers of this process.
type embedded struct {
	nats       *server.Server
	redis      *miniredis.Miniredis
	gateway    *gatewaytest.Gateway // nil: a real one is used
	gatewayURL string

	stop    context.CancelFunc
	running sync.WaitGroup
}

// startEmbedded starts them on loopback, on their usual ports where these are free.
func startEmbedded(dir string, simulate bool) (*embedded, error) {
	ctx, stop := context.WithCancel(context.Background())
	d := &embedded{stop: stop}
	var err error
	if d.nats, err = startNATS(dir); err == nil {
		err = d.startRedis(ctx)
	}
	if err == nil && simulate {
		err = d.startGateway(ctx)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func startNATS(dir string) (*server.Server, error) {
	port, err := freePort(natsPort)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "relogin-dev", Host: "127.0.0.1", Port: port, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"),
	})
	if err != nil {
		return nil, fmt.Errorf("start nats: %w", err)
	}
	trouble := make(natsTrouble, 1)
	s.SetLoggerV2(trouble, false, false, false)
	s.Start()
	for until := time.Now().Add(natsPatience); !s.ReadyForConnections(100 * time.Millisecond); {
		select {
		case err = <-trouble:
		default:
			if time.Now().After(until) {
				err = fmt.Errorf("it was not ready within %v", natsPatience)
			}
		}
		if err != nil {
			s.Shutdown()
			return nil, fmt.Errorf("start nats with its files in %s: %w", filepath.Join(dir, "nats"), err)
		}
	}
	return s, nil
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
func (d *embedded) startRedis(ctx context.Context) error {
	port, err := freePort(redisPort)
	if err != nil {
		return err
	}
	d.redis = miniredis.NewMiniRedis()
	if err := d.redis.StartAddr(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err != nil {
		return fmt.Errorf("start redis: %w", err)
	}
	d.running.Go(func() { ageKeys(ctx, d.redis) })
	return nil
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

func (d *embedded) startGateway(ctx context.Context) error {
	port, err := freePort(gatewayPort)
	if err != nil {
		return err
	}
	listener, err := httpserver.Listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	d.gatewayURL = "http://" + listener.Addr().String()
	d.gateway = gatewaytest.New(gatewaytest.Options{ConfirmAfter: time.Second, Jitter: time.Second, PromptLife: 5 * time.Second})
	d.running.Go(func() { _ = httpserver.Serve(ctx, listener, d.gateway) })
	return nil
}

func (d *embedded) natsURL() string  { return d.nats.ClientURL() }
func (d *embedded) redisURL() string { return "redis://" + d.redis.Addr() + "/0" }

func (d *embedded) close() {
	if d.gateway != nil {
		d.gateway.Close()
	}
	d.stop()
	d.running.Wait()
	if d.redis != nil {
		d.redis.Close()
	}
	if d.nats != nil {
		d.nats.Shutdown()
		d.nats.WaitForShutdown()
	}
}

// freePort returns the wanted port of loopback, or where somebody has that, any free one.
func freePort(wanted int) (int, error) {
	for _, port := range []int{wanted, 0} {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		port = listener.Addr().(*net.TCPAddr).Port
		return port, listener.Close()
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 is free")
}
