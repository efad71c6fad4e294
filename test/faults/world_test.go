//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// The times are as short as they can be with all else as in production, so that much
// happens in a minute: the lease is 6.05 s. The last worker's is 3.121 s, as in a rollout
// that changes the setting, and the prompts that it asks for die as early.
const (
	workers        = 4
	confirmTimeout = 4 * time.Second
	shorterTimeout = 1100 * time.Millisecond
	sendWindow     = time.Second
	lease          = 6050 * time.Millisecond
	ackWait        = 3 * time.Second
	namespace      = "faults"
)

// world is one deployment: three NATS servers, Redis, a gateway and workers.
type world struct {
	t      testing.TB
	random *rand.Rand
	dir    string

	relogin  string // the program
	nats     []*servers.NATSProcess
	redis    *servers.RedisServer   // nil with sentinels
	redisDir string                 // where it keeps its data
	sentinel *servers.RedisSentinel // nil with a single server
	gateway  *gatewaytest.Server
	workers  []*servers.Process
	load     *load
	operator *operator
	proxies  *proxies
	nc       *nats.Conn // past all proxies
	js       jetstream.JetStream

	starts     starts
	restarting sync.Mutex // a server
	mu         sync.Mutex
	losses     []time.Time // when Redis lost what it had stored
	stop       atomic.Bool // workers are no longer started again
	runs       sync.WaitGroup
}

func newWorld(t testing.TB, p program, random *rand.Rand, sentinel bool) *world {
	w := &world{t: t, random: random, dir: t.TempDir(), relogin: p.relogin, proxies: newProxies(t), starts: starts{next: map[int][]string{}}}
	w.gateway = gatewaytest.NewServer(gatewaytest.Options{
		ConfirmAfter: 50 * time.Millisecond, Jitter: time.Second, PromptLife: confirmTimeout, Seed: random.Uint64(),
		PromptLives: map[string]time.Duration{defaultTenant + "-shorter": shorterTimeout, otherTenant + "-shorter": shorterTimeout},
	})
	t.Cleanup(w.gateway.Close)
	w.mountDisk()
	w.startNATS(p)
	w.startRedis(sentinel)
	for i := range workers {
		w.addWorker(p, i)
	}
	w.load, w.operator = newLoad(w), newOperator(w)
	t.Cleanup(w.end)
	for i := range w.workers {
		if w.shorter(i) { // the others' lease is there first, else they would wait for 15 s
			servers.Poll(time.Minute, func() bool { return w.workers[0].Logged("worker ready") })
		}
		w.run(i)
	}
	return w
}

// shorter tells which worker has a shorter confirm time-out than the others.
func (w *world) shorter(worker int) bool { return worker == workers-1 }

// startNATS starts a cluster of three that keeps its promises when all three lose power.
func (w *world) startNATS(p program) {
	var routes, urls []string
	for range 3 {
		routes = append(routes, servers.FreeAddr(w.t))
	}
	for i, route := range routes {
		server := servers.StartNATSProcess(w.t, p.nats, fmt.Sprint("nats-", i), fmt.Sprintf(`
			jetstream { store_dir: %q, sync_interval: always, max_mem: 64MB, max_file: 4GB }
			cluster { name: faults, listen: %q, no_advertise: true, routes: ["nats://%s"] }`,
			filepath.Join(w.dir, fmt.Sprint("nats", i)), route, strings.Join(routes, `","nats://`)))
		w.nats = append(w.nats, server)
		urls = append(urls, "nats://"+server.Addr)
	}
	w.nc = servers.ConnectNATS(w.t, strings.Join(urls, ","))
	var err error
	if w.js, err = jetstream.New(w.nc); err != nil {
		w.t.Fatal(err)
	}
	servers.AwaitJetStream(w.t, w.js)
}

func (w *world) startRedis(sentinel bool) {
	if sentinel {
		w.sentinel = servers.StartRedisSentinel(w.t, "--appendonly", "yes", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "10")
		return
	}
	w.redisDir = w.t.TempDir()
	w.redis = servers.StartRedis(w.t, "--dir", w.redisDir, "--appendonly", "yes")
}

// addWorker says how a worker reaches its servers.
func (w *world) addWorker(p program, i int) {
	var urls []string
	for _, server := range w.nats {
		urls = append(urls, "nats://"+w.proxies.add(i, "nats", server.Addr))
	}
	env := []string{
		"RELOGIN_NAMESPACE=" + namespace, "RELOGIN_REPLICAS=3", "RELOGIN_NATS_URL=" + strings.Join(urls, ","),
		"RELOGIN_GATEWAY_URL=http://" + w.proxies.add(i, "gateway", strings.TrimPrefix(w.gateway.URL, "http://")),
		fmt.Sprint("RELOGIN_CONFIRM_TIMEOUT=", confirmTimeout), fmt.Sprint("RELOGIN_SEND_WINDOW=", sendWindow),
		fmt.Sprint("RELOGIN_ACK_WAIT=", ackWait), "RELOGIN_MIN_CONFIRM_TIME=1s", "RELOGIN_SHUTDOWN_GRACE=3s",
		"RELOGIN_COOLDOWN=200ms", "RELOGIN_LOG_FORMAT=text", fmt.Sprint("RELOGIN_POD=worker-", i),
		"RELOGIN_TENANTS_FILE=" + w.tenantsFile(i, "other"), "GOMAXPROCS=2",
	}
	if w.shorter(i) {
		env = append(env, fmt.Sprint("RELOGIN_CONFIRM_TIMEOUT=", shorterTimeout), "RELOGIN_MIN_CONFIRM_TIME=500ms", "RELOGIN_GATEWAY_AUTHORIZATION="+defaultTenant+"-shorter")
	}
	if w.sentinel != nil {
		env = append(env, "RELOGIN_REDIS_SENTINEL_MASTER=main", "RELOGIN_REDIS_URL="+w.sentinel.URL())
	} else {
		env = append(env, "RELOGIN_REDIS_URL=redis://"+w.proxies.add(i, "redis", w.redis.Addr))
	}
	w.workers = append(w.workers, &servers.Process{TB: w.t, Name: fmt.Sprint("worker-", i), Args: []string{p.relogin, "worker"}, Env: env})
}

// What workers send to the gateway, which tells it whose prompts die early.
const defaultTenant, otherTenant = "of-the-default-tenant", "of-the-other-tenant"

// lateTenant is in no tenants file at first.
const lateTenant = "late"

// tenantsFile writes the file of a worker, in place of an earlier one, and returns its name.
func (w *world) tenantsFile(i int, tenants ...string) string {
	file, authorization, text := filepath.Join(w.dir, fmt.Sprintf("tenants-%d.yaml", i)), otherTenant, ""
	if w.shorter(i) {
		authorization += "-shorter"
	}
	for _, tenant := range tenants {
		text += tenant + ":\n  authorization: " + authorization + "\n"
	}
	err := os.WriteFile(file+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		w.t.Error(err)
	}
	return file
}

// run starts a worker, and again whenever it has ended, as an orchestrator does.
func (w *world) run(i int) {
	p := w.workers[i]
	w.runs.Go(func() {
		for !w.stop.Load() {
			p.Start(w.starts.take(i)...)
			<-p.Done()
			if w.stop.Load() {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// end ends the workers.
func (w *world) end() {
	w.stop.Store(true)
	servers.Poll(10*time.Second, func() bool {
		for _, p := range w.workers {
			p.Signal(syscall.SIGCONT)
			p.Signal(syscall.SIGKILL)
		}
		return w.idle()
	})
	w.runs.Wait()
}

func (w *world) idle() bool {
	for _, p := range w.workers {
		done := p.Done()
		if done == nil {
			return false
		}
		select {
		case <-done:
		default:
			return false
		}
	}
	return true
}

// processes are the workers and all servers.
func (w *world) processes() []*servers.Process {
	all, redis := slices.Clone(w.workers), []*servers.RedisServer{w.redis}
	if w.sentinel != nil {
		redis = slices.Concat(w.sentinel.Servers, w.sentinel.Sentinels)
	}
	for _, server := range redis {
		all = append(all, server.Process)
	}
	for _, server := range w.nats {
		all = append(all, server.Process)
	}
	return all
}

// lost notes that Redis has lost what it had stored.
func (w *world) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses = append(w.losses, time.Now())
}
