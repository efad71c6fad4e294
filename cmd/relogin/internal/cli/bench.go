//go:build !nodev

package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/bench"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

func newBenchCommand(p *Program) *cobra.Command {
	var s bench.Settings
	return p.command(&cobra.Command{
		Use:   "bench",
		Short: "measure a worker on your NATS and Redis, and clean up",
		Long: `Measures how many jobs a second one worker does on these NATS and Redis servers, what it adds to each job's time, and its memory. The gateway is simulated, and in this process; the worker is a process of its own, with the defaults of relogin worker. Both, and whoever reads the events, share this machine's processors.

The run has a namespace of its own with a random name, relogin-bench- and eight hexadecimal digits, and touches nothing that was there before. It creates six streams and three keys at most for each job, and removes them at the end, also when it is interrupted or fails. What it could not remove it names, and the exit status is 1. After kill -9 end its worker, and remove the streams RELOGIN-BENCH-*_JOBS, _EVENTS, _DEAD and _AUDIT, KV_RELOGIN-BENCH-*_REDIS and KV_RELOGIN-BENCH-*_CONTROL (nats stream rm) and the key relogin-bench-*:mark by hand; its other keys, relogin-bench-*, expire within 11 minutes and twice --confirm-after. Users whose rights are limited need them for these names, and in Redis for scan and unlink too.

jobs a second: without --rate from the first prompt to the last event, a backlog worked off; with --rate from the first job to the last event. By the clock of the NATS server that stores them.
added latency: of a live system, so only with --rate: from when the job was stored to when its event was, less the time that its prompt was open. Jobs that shared another's prompt are left out. In a NATS cluster it is as exact as the servers' clocks agree.
CPU: of the worker process from start to end, its log included, for each job.
memory: resident, of the worker process; for an open confirmation: the peak less that of an idle worker, by the most prompts open at once, and left out below 1000 of them. Garbage that was not collected yet is in it: GOGC=100 in the environment lets less of it gather. Known on Linux.

The exit status is 1 also when a job has no event or did not succeed, or an account was asked twice at once.`,
		Example: `  relogin bench --nats-url nats://nats:4222 --redis-url redis://redis:6379/0
  relogin bench --rate 500 --confirm-after 200ms -o json
  relogin bench --jobs 20000 --concurrency 10000 --confirm-after 20s`,
	}, func(ctx context.Context, declared *settings.Settings, log *slog.Logger) error {
		return bench.Run(ctx, bench.Options{
			Settings: s, Declared: declared, Environ: p.Environ, Version: releaseOf(p.Version),
			Stderr: p.Stderr, Printer: output.NewPrinter(p.Stdout, s.Load.Output, p.Environ), Logger: log,
		})
	}, &s.Load, &s.NATS, &s.Redis)
}
