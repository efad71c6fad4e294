package test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/test/servers"
)

// benchSetting is servers on which relogin bench is alone.
type benchSetting struct {
	t         *testing.T
	env       []string
	js        jetstream.JetStream
	redisAddr string // of the first one
	redisAll  []string
}

func newBenchSetting(t *testing.T) *benchSetting {
	t.Helper()
	return newBenchSettingOn(t, servers.StartRedis(t).Addr)
}

func newBenchSettingOn(t *testing.T, redis ...string) *benchSetting {
	t.Helper()
	return newBenchSettingWith(t, servers.NATS(t), redis...)
}

func newBenchSettingWith(t *testing.T, natsURL string, redis ...string) *benchSetting {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "RELOGIN_NATS_URL="+natsURL, "RELOGIN_REDIS_URL=redis://"+strings.Join(redis, ","))
	return &benchSetting{t, env, js, redis[0], redis}
}

func (s *benchSetting) streams() (all []string) {
	s.t.Helper()
	names := s.js.StreamNames(s.t.Context())
	for name := range names.Name() {
		all = append(all, name)
	}
	if err := names.Err(); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// keys returns how many Redis has.
func (s *benchSetting) keys() int {
	s.t.Helper()
	all := 0
	for _, addr := range s.redisAll {
		n, err := strconv.Atoi(servers.Ask(s.t, addr, "DBSIZE"))
		if err != nil {
			s.t.Fatal(err)
		}
		all += n
	}
	return all
}

// clean checks that the run left nothing, and no worker either.
func (s *benchSetting) clean() {
	s.t.Helper()
	if left := s.streams(); len(left) > 0 {
		s.t.Errorf("streams are left: %q", left)
	}
	if n := s.keys(); n > 0 {
		s.t.Errorf("%d keys are left: %s", n, servers.Ask(s.t, s.redisAddr, "KEYS", "*"))
	}
	if clients := servers.Ask(s.t, s.redisAddr, "CLIENT", "LIST"); strings.Contains(clients, "bench") {
		s.t.Errorf("somebody is still connected:\n%s", clients)
	}
}

// shownByBench is what tests read of -o json.
type shownByBench struct {
	JobsPerSecond, WorkerCPUMicrosecondsPerJob       float64
	IdleResidentBytes, PeakResidentBytes             int64
	AddedLatencyMs                                   *struct{ P50, P90, P99, Max float64 }
	Outcomes                                         map[string]int
	Shared, Prompts, MostOpen, MostOpenForOneAccount int
	Namespace                                        string
	Settings                                         map[string]float64
}

func TestBench(t *testing.T) {
	for name, args := range map[string][]string{
		"backlog": {"--concurrency", "20"},
		"rate":    {"--rate", "400", "--confirm-after", "30ms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBenchSetting(t)
			status, stdout, stderr := run(t, s.env, "", append([]string{"bench", "--jobs", "200", "--accounts", "100", "-o", "json"}, args...)...)
			var f shownByBench
			if err := json.Unmarshal([]byte(stdout), &f); err != nil || status != 0 {
				t.Fatalf("exit status %d, %v\n%s%s", status, err, stdout, stderr)
			}
			s.clean()
			if f.JobsPerSecond <= 0 || f.WorkerCPUMicrosecondsPerJob <= 0 || f.Outcomes["succeeded"] != 200 || f.Shared+f.Prompts != 200 ||
				f.Prompts < 100 || f.MostOpen < 1 || f.MostOpenForOneAccount != 1 || f.Settings["jobs"] != 200 || !strings.Contains(stderr, f.Namespace) {
				t.Errorf("%+v\n%s", f, stderr)
			}
			if _, err := os.Stat("/proc/self/status"); err == nil && (f.IdleResidentBytes < 1<<20 || f.PeakResidentBytes < f.IdleResidentBytes/2) {
				t.Errorf("memory %d, idle %d", f.PeakResidentBytes, f.IdleResidentBytes)
			}
			if l := f.AddedLatencyMs; (l != nil) != (name == "rate") || l != nil && !(l.P50 > 0 && l.P50 <= l.P90 && l.P90 <= l.P99 && l.P99 <= l.Max) {
				t.Errorf("added latency %+v", l)
			}
		})
	}
}

func TestBenchTable(t *testing.T) {
	s := newBenchSetting(t)
	status, stdout, stderr := run(t, s.env, "", "bench", "--jobs", "100", "--rate", "1000")
	for _, want := range []string{"jobs a second ", "added latency  ", "100 succeeded; 0 shared", "1 of one account", "relogin bench --jobs 100 --accounts 100"} {
		if !strings.Contains(stdout, want) || status != 0 {
			t.Errorf("exit status %d, and it does not say %q:\n%s%s", status, want, stdout, stderr)
		}
	}
	s.clean()
}

// The nodes of a Cluster are new to the run, and their locks must count all the same.
func TestBenchOnACluster(t *testing.T) {
	servers.SkipIfShort(t, "it starts a cluster")
	s := newBenchSettingOn(t, servers.StartRedisCluster(t)...)
	status, stdout, stderr := run(t, s.env, "", "bench", "--jobs", "300", "--accounts", "200")
	if status != 0 || !strings.Contains(stdout, "300 succeeded") || strings.Contains(stderr, "WARN") {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
	s.clean()
}

// Whenever it is interrupted, nothing is left.
func TestBenchInterrupted(t *testing.T) {
	for name, reached := range map[string]func(*benchSetting) bool{
		"at once":            func(*benchSetting) bool { return true },
		"with streams":       func(s *benchSetting) bool { return len(s.streams()) > 0 },
		"with a mark":        func(s *benchSetting) bool { return s.keys() > 0 },
		"with confirmations": func(s *benchSetting) bool { return s.keys() > 50 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newBenchSetting(t)
			p := start(t, s.env, "bench", "--jobs", "300", "--confirm-after", "5m")
			p.WaitForLog("namespace relogin-bench-")
			servers.Eventually(t, name, func() bool { return reached(s) })
			p.Signal(syscall.SIGINT)
			if status := p.Wait(); status != 1 {
				t.Errorf("exit status %d\n%s", status, p.Log())
			}
			s.clean()
		})
	}
}

// children returns the processes that the process has started.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Skipf("needs Linux: %v", err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

func TestBenchWorkerDies(t *testing.T) {
	s := newBenchSetting(t)
	p := start(t, s.env, "bench", "--jobs", "300", "--confirm-after", "5m")
	servers.Eventually(t, "confirmations", func() bool { return s.keys() > 50 })
	for _, child := range children(t, p.PID()) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	if status := p.Wait(); status != 1 || !strings.Contains(p.Log(), "the worker ended early, with signal: killed") {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
	s.clean()
}

// What others use is not touched, and its name is not the run's.
func TestBenchBesideOthers(t *testing.T) {
	s := newBenchSetting(t)
	if status, _, stderr := run(t, s.env, "", "setup"); status != 0 {
		t.Fatal(stderr)
	}
	servers.Ask(t, s.redisAddr, "SET", "relogin:mark", "1")
	before := s.streams()
	status, stdout, stderr := run(t, append(s.env, "RELOGIN_NAMESPACE=relogin"), "", "bench", "--jobs", "10")
	if status != 0 {
		t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
	}
	if after := s.streams(); !slices.Equal(before, after) || servers.Ask(t, s.redisAddr, "GET", "relogin:mark") != "1" || s.keys() != 1 {
		t.Errorf("streams %q are there, were %q, and keys %s", after, before, servers.Ask(t, s.redisAddr, "KEYS", "*"))
	}
}

// What is created is removed once a server is back, too.
func TestBenchWaitsForServersToCleanUp(t *testing.T) {
	servers.SkipIfShort(t, "it waits for servers that come back")
	natsServer := servers.StartNATS(t, nil)
	s := newBenchSettingWith(t, natsServer.URL(), servers.StartRedis(t).Addr)
	p := start(t, s.env, "bench", "--jobs", "300", "--confirm-after", "5m")
	servers.Eventually(t, "confirmations", func() bool { return s.keys() > 50 })
	natsServer.Stop()
	p.Signal(syscall.SIGINT)
	p.WaitForLog("interrupted: cleaning up")
	natsServer.Start()
	if status := p.Wait(); status != 1 || strings.Contains(p.Log(), "is left") {
		t.Errorf("exit status %d\n%s", status, p.Log())
	}
	s.clean()
}

func TestBenchSaysWhatIsNotPermitted(t *testing.T) {
	servers.SkipIfShort(t, "it waits for requests that are not answered")
	s := newBenchSetting(t)
	guarded := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.API.INFO", "$JS.API.STREAM.INFO.*"}}}}}
	})
	servers.Ask(t, s.redisAddr, "ACL", "SETUSER", "user", "on", ">p", "~relogin:*", "+@all")
	silent := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"*.jobs.normal"}}}}}
	})
	for name, test := range map[string]struct{ variable, says string }{
		"jobs":    {"RELOGIN_NATS_URL=" + strings.Replace(silent.URL(), "//", "//user:p@", 1), `Permissions Violation for Publish to "relogin-bench-`},
		"streams": {"RELOGIN_NATS_URL=" + strings.Replace(guarded.URL(), "//", "//user:p@", 1), `Permissions Violation for Publish to "$JS.API.CONSUMER.INFO.RELOGIN-BENCH-`},
		"keys":    {"RELOGIN_REDIS_URL=redis://user:p@" + s.redisAddr, "the user needs the keys relogin-bench-*"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := run(t, append(s.env, test.variable), "", "bench", "--jobs", "10")
			if status != 1 || !strings.Contains(stderr, test.says) || strings.Contains(stderr, "p@") {
				t.Errorf("exit status %d\n%s%s", status, stdout, stderr)
			}
			s.clean()
		})
	}
}
