package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// benchSettings say what load to make. Most are flags alone: no pod has them.
type benchSettings struct {
	Jobs         int
	Accounts     int
	Concurrency  int
	ConfirmAfter time.Duration
	Rate         float64 // 0: all jobs are published first
	Replicas     int
	Output       output
}

func (b *benchSettings) declare(s *settings) {
	s.titled("Load")
	s.addFlag("jobs", number(&b.Jobs, 1, 1_000_000), "10000", "how many are published")
	s.addFlag("accounts", number(&b.Accounts, 1, 1_000_000), "",
		"how many accounts the jobs are for, in turn; jobs that meet at one account share a prompt").fallsBackTo("as many as jobs")
	s.addFlag("concurrency", number(&b.Concurrency, 1, 100_000), "512", "confirmations that the worker holds open at once; an eighth of them waits for urgent jobs, and these are normal ones")
	s.addFlag("confirm-after", duration(&b.ConfirmAfter, 0, 30*time.Minute), "0s", "how long the simulated people take to answer")
	s.addFlag("rate", rate(&b.Rate, 1_000_000), "0",
		"jobs a second that are published while the worker runs, which shows latency; 0: all are published before it starts, which shows throughput")
	s.titled("Streams")
	s.add("replicas", number(&b.Replicas, 1, 5), "1", "servers that keep each stream of the run: 1, 3 or 5")
	s.titled("Output")
	declareOutput(s, &b.Output)
}

func (b *benchSettings) check(s *settings) {
	if s.isMissing("accounts") {
		b.Accounts = b.Jobs
	}
	s.require(b.Accounts <= b.Jobs, fmt.Sprintf("want no more than --jobs, %d", b.Jobs), "accounts", "jobs")
	s.require(b.Replicas%2 == 1, "want 1, 3 or 5", "replicas")
}

// command returns the command line that repeats the run.
func (b *benchSettings) command() string {
	return fmt.Sprintf("relogin bench --jobs %d --accounts %d --concurrency %d --confirm-after %s --rate %v --replicas %d",
		b.Jobs, b.Accounts, b.Concurrency, b.ConfirmAfter, b.Rate, b.Replicas)
}

func newBenchCommand(a *app) *cobra.Command { return (&bench{app: a}).newCommand() }

func (b *bench) newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure a worker on your NATS and Redis, and clean up",
		Long: `Measures how many jobs a second one worker does on these NATS and Redis servers, what it adds to each job's time, and its memory. The gateway is simulated, and in this process; the worker is a process of its own, with the defaults of relogin worker. Both, and whoever reads the events, share this machine's processors.

The run has a namespace of its own, and refuses one in which anything is there. It creates four streams and three keys at most for each job, and removes them at the end, also when it is interrupted or fails. What it could not remove it names, and the exit status is 1. After kill -9 end its worker and remove the streams by hand; the keys expire, within 11 minutes and twice --confirm-after, but for NAMESPACE:mark.

jobs a second: without --rate from the first prompt to the last event, a backlog worked off; with --rate from the first job to the last event. By the clock of the NATS server that stores them.
added latency: of a live system, so only with --rate: from when the job was stored to when its event was, less the time that its prompt was open. Jobs that shared another's prompt are left out. In a NATS cluster it is as exact as the servers' clocks agree.
CPU: of the worker process from start to end, its log included, for each job.
memory: resident, of the worker process; for an open confirmation: the peak less that of an idle worker, by the most prompts open at once, and left out below 1000 of them. Garbage that was not collected yet is in it: GOGC=100 in the environment lets less of it gather. Known on Linux.

The exit status is 1 also when a job has no event or did not succeed, or an account was asked twice at once.`,
		Example: `  relogin bench --nats-url nats://nats:4222 --redis-url redis://redis:6379/0
  relogin bench --rate 500 --confirm-after 200ms -o json
  relogin bench --jobs 20000 --concurrency 10000 --confirm-after 20s`,
		Args: noArguments,
	}
	b.settings = b.declare(cmd, &b.Load, &b.NATS, &b.Redis, &b.Log)
	own := b.settings.named("namespace") // the operator's is never used unless it is asked for
	own.environment, own.fallback = nil, ""
	own.fallsBackTo("bench- and eight random letters")
	own.usage = "prefix of the run's subjects, streams (in upper case) and Redis keys, where users may not choose any"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return b.run(cmd.Context()) }
	return cmd
}
