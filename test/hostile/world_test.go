//go:build linux

package hostile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

const (
	namespace  = "hostile"
	jobsStream = "HOSTILE_JOBS"

	eventsStream = "HOSTILE_EVENTS"
	eventStream  = "HOSTILE_EVENTS"
	deadStream   = "HOSTILE_DEAD"

	person = 200 * time.Millisecond // to confirm
)

// program is what the tests run.
type program struct{ relogin, nats string }

func build(t testing.TB) (p program) {
	dir := t.TempDir()
	var err error
	if p.relogin, err = servers.Build(dir); err == nil {
		p.nats, err = servers.BuildNATS(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// setting is how a case's deployment differs from the usual one. The zero value is that.
type setting struct {
	confirmTimeout time.Duration       // 6 s unless set
	concurrency    int                 // of a pod; 256 unless set
	pods           int                 // 1 unless set
	env            []string            // of all pods
	cluster        bool                // Redis is a Cluster of three masters
	denied         string              // the account whose events NATS refuses
	lane           job.Lane            // of the neighbours; by turns both unless set
	others         func(slot int) bool // tells the slots of the Cluster that the neighbours' accounts are in; nil: all
	patience       time.Duration       // for the case's jobs to end once it is over; a minute unless set
	cold           bool                // the neighbours do not wait for the pods to be ready
	stopsAll       string              // why the neighbours are delayed with reason, and by so much that no bound holds
}

// world is one deployment.
type world struct {
	setting
	t    testing.TB
	p    program
	dir  string
	nats *servers.NATSProcess

	redis   *servers.RedisServer // the single server; nil with a Cluster
	masters []string             // addresses of the Cluster's
	gateway *gatewaytest.Gateway
	here    *front // the neighbours' gateway
	attacks []*attack
	pods    []*pod

	nc        *nats.Conn
	js        jetstream.JetStream
	ledger    ledger
	mu        sync.Mutex
	broken    []string    // what the cases themselves found not to be as promised
	disturbed atomic.Bool // the case has begun
	hushed    atomic.Bool // the neighbours send nothing
}

func newWorld(t testing.TB, p program, group []hostileCase) *world {
	w := &world{t: t, p: p, dir: t.TempDir(), setting: group[0].setting}
	w.gateway = gatewaytest.New(gatewaytest.Options{ConfirmAfter: person, PromptLife: w.confirm()})
	t.Cleanup(w.gateway.Close)
	w.here = newFront(t, w.gateway)
	w.startRedis()
	w.startNATS()
	for _, c := range group {
		w.attacks = append(w.attacks, newAttack(w, c))
	}
	w.writeTenants()
	t.Cleanup(func() {
		for _, pod := range w.pods {
			pod.end()
		}
	})
	for range max(1, w.setting.pods) {
		w.addPod()
	}
	return w
}

func (w *world) confirm() time.Duration {
	if w.confirmTimeout == 0 {
		return 6 * time.Second
	}
	return w.confirmTimeout
}

// lease is how long an account stays locked whose answer got lost.
func (w *world) lease() time.Duration { return w.confirm() + w.confirm()/100 + 3*time.Second }

func (w *world) startRedis() {
	if w.cluster {
		w.masters = servers.StartRedisCluster(w.t)
		for _, addr := range w.masters {
			servers.Ask(w.t, addr, "CONFIG", "SET", "cluster-require-full-coverage", "no")
		}
		return
	}
	w.redis = servers.StartRedis(w.t, "--enable-debug-command", "yes")
}

func (w *world) redisURL() string {
	if w.cluster {
		return "redis://" + strings.Join(w.masters, ",")
	}
	return w.redis.URL()
}

// startNATS starts the server, with one user for the pods and one for everybody else.
func (w *world) startNATS() {
	w.nats = servers.StartNATSProcess(w.t, w.p.nats, "nats", w.natsConfig(w.denied))
	w.nc = w.connect()
	var err error
	if w.js, err = jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(512)); err != nil {
		w.t.Fatal(err)
	}
	servers.AwaitJetStream(w.t, w.js)
}

// natsConfig returns the server's configuration, which refuses the events of one account.
func (w *world) natsConfig(denied string) string {
	deny := ""
	if denied != "" {
		deny = fmt.Sprintf(`permissions { publish { deny: ["%s.events.*.%s"] } }`, namespace, denied)
	}
	return fmt.Sprintf(`
		jetstream { store_dir: %q, max_mem: 256MB, max_file: 16GB }
		authorization { users: [ { user: pod, password: pod, %s }, { user: other, password: other } ] }`,
		filepath.Join(w.dir, "nats"), deny)
}

// connect returns a connection that is closed at the end.
func (w *world) connect() *nats.Conn {
	return servers.ConnectNATS(w.t, "nats://other:other@"+w.nats.Addr)
}

// writeTenants gives each case two tenants: one with a gateway of its own, and one at the
// neighbours' gateway. Both have a credential in a file.
func (w *world) writeTenants() {
	var text strings.Builder
	for _, a := range w.attacks {
		fmt.Fprintf(&text, "%s: {url: %q, authorizationFile: %q}\n", a.tenant, a.there.url, a.credential(a.tenant))
		fmt.Fprintf(&text, "%s: {authorizationFile: %q}\n", a.tenantHere, a.credential(a.tenantHere))
	}
	w.replace("tenants.yaml", text.String())
}

// replace writes a file of the deployment by renaming, as an operator should.
func (w *world) replace(name, text string) {
	path := filepath.Join(w.dir, name)
	err := os.WriteFile(path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		w.t.Error(err)
	}
}

// attack runs the cases at once, and blocks until all have returned.
func (w *world) attack(group []hostileCase) {
	var running sync.WaitGroup
	for i, c := range group {
		running.Go(func() { c.run(w.attacks[i]) })
	}
	running.Wait()
	for _, a := range w.attacks {
		a.published.Wait()
	}
}

// fails notes that something is not as promised.
func (w *world) fails(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

func (w *world) patience() time.Duration {
	if w.setting.patience == 0 {
		return time.Minute
	}
	return w.setting.patience
}

// drain blocks until no more jobs than few are left in the queue, at most for the limit.
func (w *world) drain(limit time.Duration, few uint64) {
	servers.Poll(limit, func() bool {
		defer time.Sleep(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		stream, err := w.js.Stream(ctx, jobsStream)
		if err != nil {
			return false
		}
		return stream.CachedInfo().State.Msgs <= few
	})
}

// keepLogs leaves the end of every process's output where it can be read after a failure.
func (w *world) keepLogs() {
	dir, err := os.MkdirTemp("", "relogin-hostile-")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, pod := range w.pods {
		if err := os.WriteFile(filepath.Join(dir, pod.Name+".log"), []byte(pod.Log()), 0o600); err != nil {
			w.t.Error(err)
		}
	}
	w.t.Errorf("not all as promised: the pods' logs are in %s", dir)
}
