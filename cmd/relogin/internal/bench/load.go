package bench

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/worker/job"
)

// Settings are all that a run is told.
type Settings struct {
	Load  Load
	NATS  backend.NATSServer
	Redis backend.Redis
}

// Load says what load to make. Most of it are flags alone: no pod has them.
type Load struct {
	Jobs         int
	Accounts     int
	Concurrency  int
	ConfirmAfter time.Duration
	Rate         float64 // 0: all jobs are published first
	Replicas     int
	Output       output.Format
}

// Declare implements [settings.Group].
func (l *Load) Declare(s *settings.Settings) {
	s.Section("Load")
	s.AddFlag("jobs", settings.Int(&l.Jobs, 1, 1_000_000), "10000", "how many are published")
	s.AddFlag("accounts", settings.Int(&l.Accounts, 1, 1_000_000), "",
		"how many accounts the jobs are for, in turn; jobs that meet at one account share a prompt").Default = "as many as jobs"
	s.AddFlag("concurrency", settings.Int(&l.Concurrency, 1, 100_000), "512", "confirmations that the worker holds open at once; an eighth of them waits for urgent jobs, and these are normal ones")
	s.AddFlag("confirm-after", settings.Duration(&l.ConfirmAfter, 0, 30*time.Minute), "0s", "how long the simulated people take to answer")
	s.AddFlag("rate", settings.Rate(&l.Rate, 1_000_000), "0",
		"jobs a second that are published while the worker runs, which shows latency; 0: all are published before it starts, which shows throughput")
	s.Section("Streams")
	s.Add("replicas", settings.Int(&l.Replicas, 1, 5), "1", "servers that keep each stream of the run: 1, 3 or 5")
	s.Section("Output")
	output.Declare(s, &l.Output)
}

// Check implements [settings.Group].
func (l *Load) Check(s *settings.Settings) {
	if !s.IsSet("accounts") {
		l.Accounts = l.Jobs
	}
	s.Require(l.Accounts <= l.Jobs, fmt.Sprintf("want no more than --jobs, %d", l.Jobs), "accounts", "jobs")
	s.Require(l.Replicas%2 == 1, "want 1, 3 or 5", "replicas")
}

// command returns the command line that repeats the run.
func (l *Load) command() string {
	return fmt.Sprintf("relogin bench --jobs %d --accounts %d --concurrency %d --confirm-after %s --rate %v --replicas %d",
		l.Jobs, l.Accounts, l.Concurrency, l.ConfirmAfter, l.Rate, l.Replicas)
}

// job returns the job of that number. The gateway is told its id as aid, so that the
// prompt tells whose it was. Jobs of one account are as far from each other as can be.
func (l *Load) job(number int) *job.Job {
	id := strconv.Itoa(number)
	return &job.Job{ID: id, AID: id, WcID: fmt.Sprint("bench_", number%l.Accounts), Tenant: "default"}
}

// jobs yields the jobs at the rate, until ctx ends. After a delay those that are due come
// at once.
func (l *Load) jobs(ctx context.Context) iter.Seq[*job.Job] {
	return func(yield func(*job.Job) bool) {
		start := time.Now()
		for n := range l.Jobs {
			if wait := time.Until(start.Add(time.Duration(n) * l.interval())); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
			}
			if !yield(l.job(n)) {
				return
			}
		}
	}
}

// interval is the time from one job to the next.
func (l *Load) interval() time.Duration {
	if l.Rate == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / l.Rate)
}
