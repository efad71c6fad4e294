package test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
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
	events []*job.Event
	byJob  map[string][]*job.Event
	more   chan struct{} // closed and replaced with each event
}

func newSetting(t *testing.T, options gatewaytest.Options) *setting {
	t.Helper()
	redisURL := servers.RealRedis(t) // workers refuse one that does not tell its replication id
	gw := gatewaytest.NewServer(options)
	t.Cleanup(gw.Close)
	s := &setting{t: t, gateway: gw, byJob: map[string][]*job.Event{}, more: make(chan struct{})}
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
		e, err := job.DecodeEvent(m.Data(), m.Headers().Get("Content-Type"))
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
func (s *setting) event(jobID string) *job.Event {
	s.t.Helper()
	s.await("the event of "+jobID, func() bool { return len(s.byJob[jobID]) > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byJob[jobID][0]
}

// stored returns the events so far, in their order.
func (s *setting) stored() []*job.Event {
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

// worker runs a worker that shows its metrics.
func (s *setting) worker(args ...string) *servers.Process {
	s.t.Helper()
	return s.start(append([]string{"worker", "--http-addr", "127.0.0.1:0"}, args...)...)
}

var addrPattern = regexp.MustCompile(`"addr":"([^"]+)"`)

// metric reads one of a worker's metrics, 0 once the worker is stopping.
func metric(p *servers.Process, name string) (value float64) {
	p.TB.Helper()
	p.WaitForLog("worker ready")
	addr := addrPattern.FindStringSubmatch(p.Log())
	if addr == nil {
		p.TB.Fatalf("no address in:\n%s", p.Log())
	}
	resp, err := http.Get("http://" + addr[1] + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if value, err = strconv.ParseFloat(text, 64); err != nil {
				p.TB.Fatal(err)
			}
			return value
		}
	}
	p.TB.Fatalf("no metric %s", name)
	return 0
}

// parked waits until so many jobs wait in the workers.
func (s *setting) parked(workers []*servers.Process, want int) {
	s.t.Helper()
	servers.Eventually(s.t, fmt.Sprintf("%d parked jobs", want), func() bool {
		sum := 0.0
		for _, p := range workers {
			sum += metric(p, "relogin_parked_jobs")
		}
		return sum == float64(want)
	})
}

// start runs relogin until it is stopped, or the test ends.
func (s *setting) start(args ...string) *servers.Process {
	s.t.Helper()
	return start(s.t, s.env, args...)
}

func start(t *testing.T, env []string, args ...string) *servers.Process {
	t.Helper()
	p := &servers.Process{TB: t, Name: strings.Join(append([]string{"relogin"}, args...), " "), Args: append([]string{binary}, args...), Env: env}
	p.Start()
	t.Cleanup(func() {
		p.Kill()
		for _, defect := range []string{"DATA RACE", "this is a defect in relogin"} {
			if p.Logged(defect) {
				t.Errorf("%s: %s", p.Name, defect)
			}
		}
	})
	return p
}

// run runs relogin to its end.
func (s *setting) run(stdin string, args ...string) (status int, stdout, stderr string) {
	s.t.Helper()
	return run(s.t, s.env, stdin, args...)
}

func run(t *testing.T, env []string, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return servers.Run(t, env, stdin, append([]string{binary}, args...)...)
}

func (s *setting) mustRun(args ...string) string {
	s.t.Helper()
	status, stdout, stderr := s.run("", args...)
	if status != 0 {
		s.t.Fatalf("relogin %v: exit status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout
}
