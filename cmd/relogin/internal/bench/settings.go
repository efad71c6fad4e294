package bench

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// LoadSettings say what load to make. Most are flags alone: no pod has them.
type LoadSettings struct {
	Jobs         int
	Accounts     int
	Concurrency  int
	ConfirmAfter time.Duration
	Rate         float64 // 0: all jobs are published first
	Replicas     int
	Output       output.Format
}

// Declare implements [settings.Group].
func (b *LoadSettings) Declare(s *settings.Settings) {
	s.Section("Load")
	s.AddFlag("jobs", settings.Int(&b.Jobs, 1, 1_000_000), "10000", "how many are published")
	s.AddFlag("accounts", settings.Int(&b.Accounts, 1, 1_000_000), "",
		"how many accounts the jobs are for, in turn; jobs that meet at one account share a prompt").FallsBackTo("as many as jobs")
	s.AddFlag("concurrency", settings.Int(&b.Concurrency, 1, 100_000), "512", "confirmations that the worker holds open at once; an eighth of them waits for urgent jobs, and these are normal ones")
	s.AddFlag("confirm-after", settings.Duration(&b.ConfirmAfter, 0, 30*time.Minute), "0s", "how long the simulated people take to answer")
	s.AddFlag("rate", settings.Rate(&b.Rate, 1_000_000), "0",
		"jobs a second that are published while the worker runs, which shows latency; 0: all are published before it starts, which shows throughput")
	s.Section("Streams")
	s.Add("replicas", settings.Int(&b.Replicas, 1, 5), "1", "servers that keep each stream of the run: 1, 3 or 5")
	s.Section("Output")
	output.Declare(s, &b.Output)
}

// Check implements [settings.Group].
func (b *LoadSettings) Check(s *settings.Settings) {
	if s.IsMissing("accounts") {
		b.Accounts = b.Jobs
	}
	s.Require(b.Accounts <= b.Jobs, fmt.Sprintf("want no more than --jobs, %d", b.Jobs), "accounts", "jobs")
	s.Require(b.Replicas%2 == 1, "want 1, 3 or 5", "replicas")
}

// command returns the command line that repeats the run.
func (b *LoadSettings) command() string {
	return fmt.Sprintf("relogin bench --jobs %d --accounts %d --concurrency %d --confirm-after %s --rate %v --replicas %d",
		b.Jobs, b.Accounts, b.Concurrency, b.ConfirmAfter, b.Rate, b.Replicas)
}

// Settings are all that a run is told.
type Settings struct {
	Load  LoadSettings
	NATS  backend.NATS
	Redis backend.Redis
	Log   logging.Settings
}

// Declare gives the command the settings. The namespace is a flag alone: an operator's own is
// never used unless it is asked for.
func (s *Settings) Declare(registry *settings.Registry, cmd *cobra.Command) *settings.Settings {
	declared := registry.Declare(cmd, &s.Load, &s.NATS, &s.Redis, &s.Log)
	declared.Named("namespace").MakeFlag(
		"prefix of the run's subjects, streams (in upper case) and Redis keys, where users may not choose any",
		"bench- and eight random letters")
	return declared
}
