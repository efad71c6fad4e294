package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// setting is a deployment of its own: servers, a gateway, a namespace, and the events
// as a reader of the stream sees them.
type setting struct {
	t       *testing.T
	env     []string
	nc      *nats.Conn
	js      jetstream.JetStream
	gateway *gatewaytest.Server
	name    string // the namespace

	mu     sync.Mutex
	events []*worker.Event
	byJob  map[string][]*worker.Event
	more   chan struct{} // closed and replaced with each event
}

func newSetting(t *testing.T, options gatewaytest.Options) *setting {
	t.Helper()
	redisURL := servers.RealRedis(t) // workers refuse one that does not tell its replication id
	gw := gatewaytest.NewServer(options)
	t.Cleanup(gw.Close)
	s := &setting{t: t, gateway: gw, byJob: map[string][]*worker.Event{}, more: make(chan struct{})}
	s.name = "t" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, fmt.Sprintf("%x", time.Now().UnixNano()))
	natsURL := servers.NATS(t)
	s.env = append(os.Environ(),
		"RELOGIN_NATS_URL="+natsURL, "RELOGIN_REDIS_URL="+redisURL,
		"RELOGIN_GATEWAY_URL="+gw.URL, "RELOGIN_NAMESPACE="+s.name,
		"RELOGIN_CONFIRM_TIMEOUT=20s", "RELOGIN_MIN_CONFIRM_TIME=1s", "RELOGIN_ACK_WAIT=3s", "RELOGIN_COOLDOWN=0s")
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.nc = nc
	if s.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	s.mustRun("setup")
	s.follow()
	return s
}

// follow reads the events stream, apart from the product's own reader.
func (s *setting) follow() {
	consumer, err := s.js.OrderedConsumer(s.t.Context(), strings.ToUpper(s.name)+"_EVENTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	reading, err := consumer.Consume(func(m jetstream.Msg) {
		e, err := worker.DecodeEvent(m.Data(), m.Headers().Get("Content-Type"))
		if err != nil {
			s.t.Errorf("event on %s: %v", m.Subject(), err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
		s.byJob[e.JobID] = append(s.byJob[e.JobID], e)
		close(s.more)
		s.more = make(chan struct{})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(reading.Stop)
}

// await blocks until the events fulfil the condition, which is asked under the lock.
func (s *setting) await(what string, condition func() bool) {
	s.t.Helper()
	timeout := time.After(time.Minute)
	for {
		s.mu.Lock()
		ok, more := condition(), s.more
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-timeout:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.t.Fatalf("waited a minute for %s: %d events of %d jobs", what, len(s.events), len(s.byJob))
		}
	}
}

// event waits for the job's event.
func (s *setting) event(jobID string) *worker.Event {
	s.t.Helper()
	s.await("the event of "+jobID, func() bool { return len(s.byJob[jobID]) > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byJob[jobID][0]
}

// stored returns the events so far, in their order.
func (s *setting) stored() []*worker.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// check is the oracle: one event a job, and never two prompts of one account at once.
func (s *setting) check(jobs int) {
	s.t.Helper()
	s.await("all events", func() bool { return len(s.byJob) >= jobs })
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, events := range s.byJob {
		if len(events) != 1 {
			s.t.Errorf("job %s has %d events", id, len(events))
		}
	}
	if len(s.byJob) != jobs {
		s.t.Errorf("%d jobs have events, want %d", len(s.byJob), jobs)
	}
	if stats := s.gateway.Stats(); stats.MaxOpenPerAccount > 1 {
		s.t.Errorf("%d prompts of one account were open at once: %+v", stats.MaxOpenPerAccount, stats)
	}
}

// process is a running relogin.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *log
	done chan struct{}
}

// log collects what a process prints, and lets tests wait for it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// worker runs a worker that shows its metrics.
func (s *setting) worker(args ...string) *process {
	s.t.Helper()
	return s.start(append([]string{"worker", "--http-addr", "127.0.0.1:0"}, args...)...)
}

var addrPattern = regexp.MustCompile(`"addr":"([^"]+)"`)

// metric reads one of a worker's metrics.
func (p *process) metric(name string) (value float64) {
	p.t.Helper()
	p.says("worker ready")
	addr := addrPattern.FindStringSubmatch(p.out.String())
	if addr == nil {
		p.t.Fatalf("no address in:\n%s", p.out)
	}
	resp, err := http.Get("http://" + addr[1] + "/metrics")
	if err != nil {
		return 0 // it is stopping
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if value, err = strconv.ParseFloat(text, 64); err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}

// parked waits until so many jobs wait in the workers.
func (s *setting) parked(workers []*process, want int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d parked jobs", want), func() bool {
		sum := 0.0
		for _, p := range workers {
			sum += p.metric("relogin_parked_jobs")
		}
		return sum == float64(want)
	})
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// start runs relogin until it is stopped, or the test ends.
func (s *setting) start(args ...string) *process {
	s.t.Helper()
	return start(s.t, s.env, args...)
}

func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), out: &log{more: make(chan struct{})}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.kill()
		for _, defect := range []string{"DATA RACE", "this is a defect in relogin"} {
			if strings.Contains(p.out.String(), defect) {
				t.Errorf("relogin %s: %s", strings.Join(args, " "), defect)
			}
		}
		if t.Failed() {
			t.Logf("relogin %s:\n%s", strings.Join(args, " "), tail(p.out.String(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate sends SIGTERM and returns the exit status.
func (p *process) terminate() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.status()
}

// status waits for the process to end.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.t.Fatalf("relogin %v did not end", p.cmd.Args[1:])
	}
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the process has printed the text.
func (p *process) says(text string) {
	p.t.Helper()
	timeout := time.After(time.Minute)
	for {
		p.out.mu.Lock()
		found, more := strings.Contains(p.out.text.String(), text), p.out.more
		p.out.mu.Unlock()
		if found {
			return
		}
		select {
		case <-more:
		case <-p.done:
			p.t.Fatalf("relogin %v ended without saying %q:\n%s", p.cmd.Args[1:], text, p.out)
		case <-timeout:
			p.t.Fatalf("relogin %v did not say %q:\n%s", p.cmd.Args[1:], text, p.out)
		}
	}
}

// run runs relogin to its end.
func (s *setting) run(stdin string, args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	return run(s.t, s.env, stdin, args...)
}

func run(t *testing.T, env []string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("relogin %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func (s *setting) mustRun(args ...string) string {
	s.t.Helper()
	status, stdout, stderr := s.run("", args...)
	if status != 0 {
		s.t.Fatalf("relogin %v: exit status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout
}
