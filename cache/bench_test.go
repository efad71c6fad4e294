package cache

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

// benchmark runs one job's calls from 512 goroutines, each on an account of its own.
func benchmark(b *testing.B, calls func(f *fixture, a worker.Ask) error) {
	f := open(b, servers.RealRedis(b))
	var n atomic.Int64
	before, cpu := f.Stats(), f.redisCPU()
	b.SetParallelism(512 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprint(n.Add(1))
			a := f.ask(id, id)
			a.WcID = "w" + id
			if err := calls(f, a); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	after, used := f.Stats(), f.redisCPU()-cpu
	b.ReportMetric(used.Seconds()*1e6/float64(b.N), "redis-µs/op")
	b.ReportMetric(float64(after.Commands-before.Commands)/float64(after.Pipelines-before.Pipelines), "scripts/pipeline")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

func BenchmarkBegin(b *testing.B) {
	benchmark(b, func(f *fixture, a worker.Ask) error {
		_, err := f.Begin(b.Context(), a)
		return err
	})
}

// BenchmarkJob is all that a job with a prompt costs: Begin, Finish and Shrink.
func BenchmarkJob(b *testing.B) {
	benchmark(b, func(f *fixture, a worker.Ask) error {
		if _, err := f.Begin(b.Context(), a); err != nil {
			return err
		}
		end := f.end(a.JobID, a.Token, worker.Succeeded)
		end.WcID = a.WcID
		_, err := f.Finish(b.Context(), end)
		f.Shrink(a.WcID, a.JobID)
		return err
	})
}

// redisCPU returns how much the server has used of the processor.
func (f *fixture) redisCPU() time.Duration {
	info := parseInfo(f.raw.Info(f.tb.Context(), "cpu").Val())
	sys, _ := strconv.ParseFloat(info["used_cpu_sys"], 64)
	user, _ := strconv.ParseFloat(info["used_cpu_user"], 64)
	return time.Duration((sys + user) * float64(time.Second))
}
