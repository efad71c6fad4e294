package cache

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// benchmark makes the calls for each job, on an account of its own, from 512 goroutines,
// and those of before for each job before the clock starts.
func benchmark(b *testing.B, before, calls func(f *fixture, a worker.Ask) error) {
	f := open(b, servers.RealRedis(b))
	b.SetParallelism(512 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	if before != nil {
		f.eachJob(b, before)
	}
	stats, cpu := f.Stats(), f.redisCPU()
	b.ResetTimer()
	f.eachJob(b, calls)
	b.StopTimer()
	after := f.Stats()
	b.ReportMetric(float64((f.redisCPU()-cpu).Microseconds())/float64(b.N), "redis-µs/op")
	b.ReportMetric(float64(after.Commands-stats.Commands)/float64(after.Pipelines-stats.Pipelines), "scripts/pipeline")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// eachJob makes the calls for b.N jobs.
func (f *fixture) eachJob(b *testing.B, calls func(f *fixture, a worker.Ask) error) {
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := strconv.FormatInt(n.Add(1), 10)
			a := f.ask(id, "1#1")
			a.WcID = "w" + id
			if err := calls(f, a); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// redisCPU returns how much of the processor the server has used.
func (f *fixture) redisCPU() (used time.Duration) {
	info := parseInfo(f.raw.Info(f.tb.Context(), "cpu").Val())
	for _, part := range []string{"used_cpu_sys", "used_cpu_user"} {
		d, err := time.ParseDuration(info[part] + "s")
		if err != nil {
			f.tb.Fatal(err)
		}
		used += d
	}
	return used
}

func (f *fixture) justBegin(a worker.Ask) error {
	answer, err := f.Begin(f.tb.Context(), a)
	if err == nil && answer.State != worker.Granted {
		err = fmt.Errorf("%+v", answer)
	}
	return err
}

func (f *fixture) justFinish(a worker.Ask) error {
	_, err := f.Finish(f.tb.Context(), worker.Conclusion{
		WcID: a.WcID, JobID: a.JobID, Tenant: a.Tenant, Token: a.Token, StoredAt: a.StoredAt, Result: usualResult,
	})
	return err
}

// usualResult is about as large as those that were captured.
var usualResult = job.Result{
	Outcome: job.Succeeded, Code: "1000", Message: "ok", Prompted: true,
	Login: &job.Login{WcID: "wxid_0123456789abcde", WID: strings.Repeat("w", 36), NickName: "阿😀",
		HeadURL: "https://" + strings.Repeat("h", 140), Status: 3, Token: strings.Repeat("t", 140), Data: strings.Repeat("d", 400)},
	StartedAt: time.Unix(1700000000, 1e6), FinishedAt: time.Unix(1700000009, 1e6),
}

func BenchmarkBegin(b *testing.B) { benchmark(b, nil, (*fixture).justBegin) }

func BenchmarkFinish(b *testing.B) { benchmark(b, (*fixture).justBegin, (*fixture).justFinish) }

// BenchmarkJob is all that a job with a prompt costs: Begin, Finish and Shrink.
func BenchmarkJob(b *testing.B) {
	benchmark(b, nil, func(f *fixture, a worker.Ask) error {
		if err := f.justBegin(a); err != nil {
			return err
		}
		err := f.justFinish(a)
		f.Shrink(a.WcID, a.JobID)
		return err
	})
}

// BenchmarkRequest writes what Begin sends.
func BenchmarkRequest(b *testing.B) {
	c := &Client{opts: Options{Namespace: "relogin"}, scripts: newScripts(&Options{}, time.Minute)}
	c.mark.Store("mark")
	a := worker.Ask{WcID: "wxid_0123456789abcde", JobID: "j", Tenant: "t", Token: "1#1", Pod: "pod-a", StoredAt: time.Unix(1700000000, 0)}
	b.ReportAllocs()
	for b.Loop() {
		one := c.beginCall(a)
		one.seal()
		one.free()
	}
}

func BenchmarkWriteResult(b *testing.B) {
	var to bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		to.Reset()
		if err := writeResult(&to, &usualResult); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseGrant(b *testing.B) {
	benchmarkAnswer(b, int64(1700000000123))
}

func BenchmarkParseHeld(b *testing.B) {
	benchmarkAnswer(b, []any{int64(1700000000123), int64(306020), int64(0), int64(0), "held", "1#1", "", "j", "pod-a", "", "", ""})
}

func benchmarkAnswer(b *testing.B, reply any) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseAnswer(reply); err != nil {
			b.Fatal(err)
		}
	}
}
