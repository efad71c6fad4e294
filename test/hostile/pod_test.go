//go:build linux

package hostile

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// pod is a worker process, whose memory is watched.
type pod struct {
	*servers.Process
	http string // address

	mu   sync.Mutex
	peak int64 // bytes resident
	stop chan struct{}
	done sync.WaitGroup
}

// addPod starts one more pod, with more settings than the others, and blocks until it is
// ready.
func (w *world) addPod(env ...string) { w.newPod(env...).up() }

func (w *world) newPod(env ...string) *pod {
	name, addr := fmt.Sprint("pod-", len(w.pods)), servers.FreeAddr(w.t)
	env = append(append([]string{
		"GOMAXPROCS=2", "RELOGIN_NAMESPACE=" + namespace, "RELOGIN_POD=" + name, "RELOGIN_HTTP_ADDR=" + addr,
		"RELOGIN_NATS_URL=nats://pod:pod@" + w.nats.Addr, "RELOGIN_REDIS_URL=" + w.redisURL(),
		"RELOGIN_GATEWAY_URL=" + w.here.url, "RELOGIN_TENANTS_FILE=" + w.dir + "/tenants.yaml",
		fmt.Sprint("RELOGIN_CONCURRENCY=", w.slots()), fmt.Sprint("RELOGIN_CONFIRM_TIMEOUT=", w.confirm()),
		"RELOGIN_MIN_CONFIRM_TIME=1s", "RELOGIN_ACK_WAIT=3s", "RELOGIN_COOLDOWN=200ms", "RELOGIN_SHUTDOWN_GRACE=5s",
		"RELOGIN_LOG_FORMAT=text",
	}, w.env...), env...)
	p := &pod{
		Process: &servers.Process{TB: w.t, Name: name, Args: []string{w.p.relogin, "worker"}, Env: env},
		http:    "http://" + addr, stop: make(chan struct{}),
	}
	w.pods = append(w.pods, p)
	p.done.Go(p.watch)
	return p
}

func (w *world) slots() int {
	if w.concurrency == 0 {
		return 256
	}
	return w.concurrency
}

// up starts the process, and blocks until it takes jobs.
func (p *pod) up() {
	p.Start()
	if !servers.Poll(30*time.Second, func() bool { return p.Logged("worker ready") }) {
		p.TB.Errorf("%s does not come up:\n%s", p.Name, p.Log())
	}
}

// settle blocks until the pods take jobs: one that has met its Redis for the first time may
// have to wait for a lease.
func (w *world) settle() {
	for _, pod := range w.pods {
		if !w.cold && !servers.Poll(time.Minute, pod.ready) {
			w.fails("%s is not ready after a minute", pod.Name)
		}
	}
}

// end kills the process.
func (p *pod) end() {
	close(p.stop)
	p.done.Wait()
	if p.Done() != nil {
		p.Signal(syscall.SIGCONT)
		p.Kill()
	}
}

// ready tells whether the pod says that it takes jobs.
func (p *pod) ready() bool {
	client := http.Client{Timeout: 4 * time.Second}
	resp, err := client.Get(p.http + "/readyz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// watch looks at the process's memory until the pod is ended.
func (p *pod) watch() {
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		select {
		case <-p.stop:
			tick.Stop()
			return
		case <-tick.C:
			p.mu.Lock()
			p.peak = max(p.peak, resident(p.PID()))
			p.mu.Unlock()
		}
	}
}

func (p *pod) memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peak
}

// resident returns the most bytes of memory that the process ever had, 0 when it is gone.
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, " kB")
	kib, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return kib << 10
}
