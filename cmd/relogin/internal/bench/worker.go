package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

const (
	stopGrace  = 5 * time.Second // for a worker to stop, before it is killed
	maxRepeats = 3               // of what a worker says of many jobs
)

// workerProcess is the worker that is measured: relogin worker as a process.
type workerProcess struct {
	cmd      *exec.Cmd
	log      *slog.Logger // told of warnings and errors
	stderr   io.Writer    // gets what is no log
	ready    chan struct{}
	done     chan struct{}  // closed once the process has ended
	stopping atomic.Bool    // what it has to say no longer matters
	told     map[string]int // how often it has logged what
	stop     func() usage   // ends it, be it by killing, and returns what it used; may be called again
}

// usage is what a worker took of the machine; 0 bytes: not known.
type usage struct {
	cpu        time.Duration
	idle, peak int64 // resident bytes
}

// startWorker starts this very program again. The caller calls stop.
func (b *bench) startWorker() (*workerProcess, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	w := &workerProcess{cmd: exec.Command(path, "worker"), log: b.log, stderr: b.stderr, ready: make(chan struct{}), done: make(chan struct{}), told: map[string]int{}}
	w.cmd.Env = b.workerEnvironment()
	pipe, err := w.cmd.StderrPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	w.stop = sync.OnceValue(w.shut)
	go func() {
		defer close(w.done)
		w.listen(bufio.NewReader(pipe))
		_ = w.cmd.Wait() // its state tells
	}()
	return w, nil
}

// workerEnvironment hands the worker its settings. No other process sees them, as it
// would those of a command line.
func (b *bench) workerEnvironment() []string {
	env := slices.DeleteFunc(slices.Clone(b.environ), func(v string) bool {
		return strings.HasPrefix(v, settings.EnvironmentPrefix) || strings.HasPrefix(v, "NATS_URL=") || strings.HasPrefix(v, "REDIS_URL=")
	})
	env = append(env, b.declared.Environment("NATS", "Redis")...)
	streams := b.streams()
	for name, text := range map[string]string{
		"namespace": b.NATS.Namespace, "no-setup": "true", "pod": podName, "gateway-url": b.gateway.URL,
		"replicas":    strconv.Itoa(streams.Replicas),
		"concurrency": strconv.Itoa(b.Load.Concurrency), "cooldown": "0s",
		"confirm-timeout": b.confirmTimeout().String(), "send-window": sendWindow.String(), "shutdown-grace": "1s",
		"event-max-age": streams.EventMaxAge.String(), "dead-max-age": streams.DeadMaxAge.String(), "job-memory": streams.JobMemory.String(),
		"log-level": "info", "log-format": "json",
	} {
		env = append(env, settings.EnvironmentName(name)+"="+text)
	}
	return env
}

// listen reads what the worker logs until it ends.
func (w *workerProcess) listen(r *bufio.Reader) {
	ready := false
	for {
		line, err := r.ReadBytes('\n')
		switch {
		case err != nil && len(line) == 0:
			return
		case bytes.Contains(line, []byte(`"level":"INFO"`)): // one for each job
			if !ready && bytes.Contains(line, []byte(`"msg":"worker ready"`)) {
				ready = true
				close(w.ready)
			}
		case !w.stopping.Load():
			w.tell(line)
		}
	}
}

// tell passes on a warning or an error, each a few times, or what is no log: why the
// process ends.
func (w *workerProcess) tell(line []byte) {
	var entry map[string]any
	var level slog.Level
	if json.Unmarshal(line, &entry) != nil {
		_, _ = w.stderr.Write(line)
		return
	}
	if text, _ := entry["level"].(string); level.UnmarshalText([]byte(text)) != nil {
		level = slog.LevelWarn
	}
	text, _ := entry["msg"].(string)
	w.told[text]++
	switch n := w.told[text]; {
	case n > maxRepeats:
		return
	case n == maxRepeats:
		text += " (more of these are not shown)"
	}
	for _, key := range []string{slog.TimeKey, slog.LevelKey, slog.MessageKey} {
		delete(entry, key)
	}
	var attrs []any
	for _, key := range slices.Sorted(maps.Keys(entry)) {
		attrs = append(attrs, key, entry[key])
	}
	w.log.Log(context.Background(), level, "worker: "+text, attrs...)
}

// awaitReady blocks until the worker takes jobs.
func (w *workerProcess) awaitReady(ctx context.Context) error {
	select {
	case <-w.ready:
		return nil
	case <-w.done:
		return w.death(ctx)
	case <-time.After(serverPatience):
		return fmt.Errorf("the worker was not ready after %s: see whether NATS and Redis work", settings.FormatDuration(serverPatience))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// death returns why the worker has ended by itself.
func (w *workerProcess) death(ctx context.Context) error {
	if ctx.Err() != nil { // the signal may have reached both
		return context.Cause(ctx)
	}
	return fmt.Errorf("the worker ended early, with %s: what it said is above", w.cmd.ProcessState)
}

func (w *workerProcess) shut() usage {
	_, peak := residentBytes(w.cmd.Process.Pid)
	w.stopping.Store(true)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = w.cmd.Process.Kill()
	}
	select {
	case <-w.done:
	case <-time.After(stopGrace):
		_ = w.cmd.Process.Kill()
		<-w.done
	}
	state := w.cmd.ProcessState
	return usage{cpu: state.UserTime() + state.SystemTime(), peak: peak}
}

// residentBytes returns what a process has in memory now, and had at most; 0 where
// the system does not tell. It is not taken from rusage: on Linux that begins with what
// the parent had.
func residentBytes(pid int) (now, most int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		key, text, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
		switch key {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			most = kib << 10
		}
	}
	return now, most
}
