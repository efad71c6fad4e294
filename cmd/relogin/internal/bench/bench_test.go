package bench

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"gotest.tools/v3/golden"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/pod"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// read returns a run that has read its settings, as a command would. A worker's are known.
func read(environ []string, args ...string) (*bench, error) {
	var known pod.Settings
	b := &bench{Options: Options{Environ: environ}, namespace: "relogin-bench-x"}
	var err error
	b.Declared, err = readSettings(environ, args, []settings.Group{
		&known.NATS, &known.Gateway, &known.Pipeline, &known.Streams, &known.Output,
	}, &b.Load, &b.NATS, &b.Redis)
	return b, err
}

// readSettings reads the settings of the groups. Those of the others are known, as another
// command's are.
func readSettings(environ, args []string, others []settings.Group, groups ...settings.Group) (*settings.Settings, error) {
	command := func(name string) *cobra.Command {
		return &cobra.Command{Use: name, Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {}}
	}
	root, cmd, other := &cobra.Command{SilenceErrors: true, SilenceUsage: true}, command("this"), command("other")
	root.AddCommand(cmd, other)
	root.SetArgs(append([]string{"this"}, args...))
	settings.Declare(other, environ, others...)
	s := settings.Declare(cmd, environ, groups...)
	return s, root.Execute()
}

func mustRead(t *testing.T, environ []string, args ...string) *bench {
	t.Helper()
	b, err := read(environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBenchSettings(t *testing.T) {
	b := mustRead(t, []string{"RELOGIN_NAMESPACE=relogin", "RELOGIN_CONCURRENCY=7", "RELOGIN_REPLICAS=3"}, "--jobs", "70")
	if b.Load.Accounts != 70 || b.Load.Concurrency != 512 || b.Load.Replicas != 3 {
		t.Errorf("%+v", b.Load)
	}
	_, err := read(nil, "--jobs", "5", "--accounts", "6", "--replicas", "2", "--rate=-1")
	for _, flag := range []string{"--accounts", "--replicas", "--rate"} {
		var usage settings.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "flag "+flag) {
			t.Errorf("it does not name %s:\n%v", flag, err)
		}
	}
}

func TestBenchWorkerHasItsOwnSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("redis-url: redis://:pass@redis\ngateway-url: http://production\nnamespace: relogin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := mustRead(t, []string{
		"PATH=/bin", "RELOGIN_CONFIG=" + file, "RELOGIN_NAMESPACE=relogin", "RELOGIN_TENANTS_FILE=" + file, "NATS_URL=nats://common",
	}, "--nats-inbox-prefix", "_INBOX_x", "--concurrency", "9", "--confirm-after", "40s")
	b.gateway = gatewaytest.NewServer(gatewaytest.Options{})
	defer b.gateway.Close()
	env := b.workerEnvironment()
	for _, want := range []string{
		"PATH=/bin", "RELOGIN_NAMESPACE=relogin-bench-x", "RELOGIN_NATS_URL=nats://common", "RELOGIN_REDIS_URL=redis://:pass@redis",
		"RELOGIN_NATS_INBOX_PREFIX=_INBOX_x", "RELOGIN_GATEWAY_URL=" + b.gateway.URL, "RELOGIN_CONCURRENCY=9", "RELOGIN_CONFIRM_TIMEOUT=1m0s",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	for _, v := range env {
		if strings.Contains(v, "production") || strings.Contains(v, "TENANTS") || strings.Contains(v, "CONFIG=") || v == "RELOGIN_NAMESPACE=relogin" {
			t.Errorf("the worker is told %s", v)
		}
	}
	var p pod.PipelineSettings
	var c backend.Streams
	var rest pod.Settings
	if _, err := readSettings(env, nil, []settings.Group{&rest.Gateway, &rest.Output, &rest.Setup}, &rest.NATS, &b.Redis, &p, &c); err != nil {
		t.Errorf("a worker refuses its settings: %v", err)
	}
	if lease := p.SendWindow + p.ConfirmTimeout + p.ConfirmTimeout/10; c.EventMaxAge < lease {
		t.Errorf("events are kept for %s, less than a lease", c.EventMaxAge)
	}
}

func TestBenchLoad(t *testing.T) {
	l := &Load{Jobs: 10, Accounts: 4}
	last := map[string]int{}
	for j := range l.jobs(t.Context()) {
		n, err := strconv.Atoi(j.ID)
		if err := errors.Join(err, j.Check()); err != nil {
			t.Errorf("job %+v: %v", j, err)
		}
		if before, again := last[j.WcID]; again && n-before != 4 {
			t.Errorf("jobs %d and %d are of one account", before, n)
		}
		last[j.WcID] = n
	}
	if len(last) != 4 {
		t.Errorf("%d accounts", len(last))
	}
}

func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Load{Jobs: 11, Accounts: 1, Rate: 4}
		start, given := time.Now(), 0
		for range l.jobs(t.Context()) {
			if at := time.Since(start); at != time.Duration(given)*250*time.Millisecond {
				t.Errorf("job %d came after %s", given, at)
			}
			given++
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range l.jobs(ctx) {
			given++
		}
		if given != 12 {
			t.Errorf("%d jobs", given)
		}
	})
}

func TestLatency(t *testing.T) {
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i)*time.Millisecond)
	}
	if got := newLatency(all); *got != (latency{100, 180, 198, 200, 200}) {
		t.Errorf("%+v", got)
	}
	if got := newLatency([]time.Duration{1500 * time.Microsecond}); *got != (latency{1.5, 1.5, 1.5, 1.5, 1}) {
		t.Errorf("%+v", got)
	}
	if newLatency(nil) != nil {
		t.Error("a latency of nothing")
	}
}

// endedRun is a run of four jobs: two prompts of 100 ms, one job that shared, one that failed.
func endedRun(t *testing.T, l *Load) *figures {
	t.Helper()
	start := time.Unix(1000, 0)
	f := newFigures(l)
	for n, stored := range []int64{1105, 1110, 1120, 1300} {
		j := l.job(n)
		e := &job.Event{JobID: j.ID, WcID: j.WcID, RequestedAt: start, Result: job.Result{Outcome: job.Succeeded, Prompted: true}}
		switch n {
		case 1:
			e.Outcome = job.Failed
		case 3:
			e.Prompted, e.SharedWith = false, "0"
		}
		err := f.see(e, time.UnixMilli(1_000_000-1000+stored))
		if done := n == 3; (err != nil) != done {
			t.Errorf("job %d: %v", n, err)
		}
		if n == 0 {
			_ = f.see(e, start)
			_ = f.see(&job.Event{JobID: "0", WcID: "other"}, start)
		}
	}
	var prompts []gatewaytest.Prompt
	for _, aid := range []string{"0", "1", "2"} {
		prompts = append(prompts, gatewaytest.Prompt{AID: aid, Start: time.Unix(5, 0), End: time.Unix(5, 1e8)})
	}
	f.IdleResidentBytes, f.PeakResidentBytes = 20<<20, 52<<20
	f.finish(prompts, gatewaytest.Stats{Prompts: 3, MaxOpen: 1024, MaxOpenPerAccount: 2}, time.Millisecond)
	return f
}

func TestBenchFigures(t *testing.T) {
	f := endedRun(t, &Load{Jobs: 4, Accounts: 3, Concurrency: 512, ConfirmAfter: 100 * time.Millisecond, Rate: 8})
	if *f.AddedLatency != (latency{10, 20, 20, 20, 3}) {
		t.Errorf("latency %+v", f.AddedLatency)
	}
	if f.Seconds != 0.3 {
		t.Errorf("it took %v s", f.Seconds)
	}
	f.Version, f.CPUs = "v1", 2
	golden.Assert(t, f.table()+f.defects().Error()+"\n", "bench.txt")
	if f = endedRun(t, &Load{Jobs: 4, Accounts: 3}); f.Seconds != 0.295 {
		t.Errorf("the backlog took %v s", f.Seconds)
	}
	var out bytes.Buffer
	if err := output.NewPrinter(&out, output.JSON, nil).Print(f, ""); err != nil {
		t.Error(err)
	}
	for want, left := range map[string]bool{"bytesPerOpenConfirmation": false, "addedLatencyMs": false, "jobsPerSecond": true} {
		if strings.Contains(out.String(), want) != left {
			t.Errorf("%s: %s", want, out.String())
		}
	}
}

func TestBenchPassesWarningsOn(t *testing.T) {
	var out, plain bytes.Buffer
	b, ready := &bench{Options: Options{Logger: slog.New(slog.NewTextHandler(&out, nil)), Stderr: &plain}}, 0
	b.listen(t.Context(), strings.NewReader(`{"time":"x","level":"INFO","msg":"worker ready"}
{"time":"x","level":"INFO","msg":"job ended"}
{"time":"x","level":"WARN","msg":"slow","job":"7"}
`+strings.Repeat(`{"level":"WARN","msg":"slow"}`+"\n", 9)+`panic: out of words`), func() { ready++ })
	if ready != 1 {
		t.Errorf("it was ready %d times", ready)
	}
	if got := out.String(); !strings.Contains(got, `level=WARN msg="worker: slow" job=7`) || strings.Contains(got, "ended") {
		t.Errorf("the log says %s", got)
	}
	if got := strings.Count(out.String(), "slow"); got != maxRepeats {
		t.Errorf("it says the same %d times", got)
	}
	if got := plain.String(); got != "panic: out of words" {
		t.Errorf("beside it stands %q", got)
	}
}
