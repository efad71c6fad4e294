package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"github.com/tidwall/gjson"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

const (
	stopGrace  = 5 * time.Second // for a worker to stop, before it is killed
	maxRepeats = 3               // of what a worker says of many jobs
)

// withWorker starts this very program again as the worker that is measured, calls do once
// that takes jobs, and stops it then. It returns when the worker has ended, with the CPU time
// that it used.
func (b *bench) withWorker(ctx context.Context, do func(pid int)) (cpu time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	path, _ := os.Executable() // where there is none, Start fails
	cmd := exec.CommandContext(ctx, path, "worker")
	cmd.Env, cmd.WaitDelay = b.workerEnvironment(), stopGrace
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.end(fmt.Errorf("start worker: %w", err))
		return 0
	}
	var doing sync.WaitGroup
	b.listen(ctx, log, func() {
		b.alive()
		doing.Go(func() {
			defer stop()
			do(cmd.Process.Pid)
		})
	})
	_ = cmd.Wait() // its state tells
	if ctx.Err() == nil {
		b.end(fmt.Errorf("the worker ended early, with %s: what it said is above", cmd.ProcessState))
	}
	doing.Wait()
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// workerEnvironment hands the worker its settings. No other process sees them, as it
// would those of a command line.
func (b *bench) workerEnvironment() []string {
	env := slices.DeleteFunc(slices.Clone(b.Environ), func(v string) bool {
		return strings.HasPrefix(v, settings.EnvironmentPrefix) || strings.HasPrefix(v, "NATS_URL=") || strings.HasPrefix(v, "REDIS_URL=")
	})
	env = append(env, b.Declared.Environment("NATS", "Redis")...)
	for name, text := range map[string]string{
		"namespace": b.namespace, "pod": "bench", "gateway-url": b.gateway.URL, "replicas": strconv.Itoa(b.Load.Replicas),
		"concurrency": strconv.Itoa(b.Load.Concurrency), "cooldown": "0s",
		"confirm-timeout": b.confirmTimeout().String(), "shutdown-grace": "1s",
		"event-max-age": b.recordAge().String(), "dead-max-age": b.recordAge().String(), "job-memory": jobMemory.String(),
		"log-level": "info", "log-format": "json",
	} {
		env = append(env, settings.EnvironmentName(name)+"="+text)
	}
	return env
}

// listen reads what the worker logs until it ends. It calls ready once the worker takes
// jobs, and passes on the rest but what it says of each job.
func (b *bench) listen(ctx context.Context, log io.Reader, ready func()) {
	told := map[string]int{}
	for r := bufio.NewReader(log); ; {
		line, err := r.ReadBytes('\n')
		switch {
		case bytes.Contains(line, []byte(`"msg":"worker ready"`)):
			ready()
		case ctx.Err() == nil && !bytes.Contains(line, []byte(`"level":"INFO"`)): // what it says while it stops does not matter
			b.tell(line, told)
		}
		if err != nil {
			return
		}
	}
}

// tell logs a warning or an error of the worker, each a few times, and prints what is no log:
// why the process ends.
func (b *bench) tell(line []byte, told map[string]int) {
	entry := gjson.ParseBytes(line)
	if !entry.IsObject() || !gjson.ValidBytes(line) {
		_, _ = b.Stderr.Write(line)
		return
	}
	text := "worker: " + entry.Get(slog.MessageKey).String()
	told[text]++
	if n := told[text]; n > maxRepeats {
		return
	} else if n == maxRepeats {
		text += " (more of these are not shown)"
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(entry.Get(slog.LevelKey).String()))
	var attrs []any
	entry.ForEach(func(key, value gjson.Result) bool {
		if name := key.String(); name != slog.TimeKey && name != slog.LevelKey && name != slog.MessageKey {
			attrs = append(attrs, name, value.Value())
		}
		return true
	})
	b.Logger.Log(context.Background(), level, text, attrs...)
}

// memory returns what the process has resident now, and had at most; 0 where the system
// does not tell. It is not taken from rusage: on Linux that begins with what the parent had.
func memory(pid int) (now, peak int64) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, 0
	}
	status, _ := process.NewStatus()
	return int64(status.VmRSS), int64(status.VmHWM)
}
