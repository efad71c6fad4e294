package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test runs: a server, or relogin. It may be started again
// after it has ended. Set the exported fields before the first Start, and leave them then.
// Its methods may be called from several goroutines.
//
// A process is killed when its test ends, and a test that has failed shows the end of what
// it has printed. On Linux it is killed, too, when the test binary dies without ending
// its tests.
type Process struct {
	TB   testing.TB
	Name string   // what failures and logs call it
	Args []string // the program and its arguments
	Env  []string // added to the environment of the tests
	Dir  string   // where it runs; empty: where the tests do

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	log    processLog
	killed []time.Time
}

// Start starts the process with additions to its environment. A program that can't be
// started fails the test. The process must not run already.
func (p *Process) Start(env ...string) {
	p.TB.Helper()
	first, err := p.start(env)
	if first {
		p.TB.Cleanup(p.end)
	}
	if err != nil {
		p.TB.Errorf("start %s: %v", p.Name, err)
	}
}

// end is what the end of the test does.
func (p *Process) end() {
	p.Kill()
	if p.TB.Failed() {
		text := p.Log()
		p.TB.Logf("the end of what %s has printed:\n%s", p.Name, text[max(0, len(text)-failureBytes):])
	}
}

const failureBytes = 4000 // of the log, which a failed test shows

// start tells whether the process has never run before.
func (p *Process) start(env []string) (first bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Env, cmd.Dir = slices.Concat(os.Environ(), p.Env, env), p.Dir
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = dieWithParent()
	first = p.cmd == nil
	p.log.begin(first)
	if err := cmd.Start(); err != nil {
		return false, err
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait()
		p.mu.Lock()
		if endedBy(cmd, syscall.SIGKILL) {
			p.killed = append(p.killed, time.Now())
		}
		p.mu.Unlock()
		close(done)
	}()
	return first, nil
}

// Signal sends the signal to the process if it runs.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// Kill ends the process as kill -9 does, also a stopped one, and blocks until it has
// ended. It may be called again.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	if done := p.Done(); done != nil {
		<-done
	}
}

// Done returns a channel that is closed when the current run has ended; nil before the
// first Start.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Wait blocks until the process has ended and returns its exit code, -1 when a signal
// ended it. The test fails at once when the process still runs after 90 s.
func (p *Process) Wait() (code int) {
	p.TB.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		p.TB.Fatalf("%s did not end within %v:\n%s", p.Name, patience, p.Log())
	}
	return p.ExitCode()
}

// Terminate sends SIGTERM, and then does what [Process.Wait] does.
func (p *Process) Terminate() (code int) {
	p.TB.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// ExitCode returns the exit code of the last run, -1 while the process runs and when a
// signal ended it.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.ProcessState == nil {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// EndedBy tells whether the signal ended the last run. It is false while the process runs.
func (p *Process) EndedBy(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState != nil && endedBy(p.cmd, s)
}

func endedBy(cmd *exec.Cmd, s syscall.Signal) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// Killed returns when SIGKILL has ended the process, for each run that ended so.
func (p *Process) Killed() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.killed)
}

// PID returns the id of the process, 0 before the first Start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Log returns what the process has printed in all its runs, of very much the end.
func (p *Process) Log() string { return p.log.String() }

// Logged tells whether the process has printed the text since it was last started.
func (p *Process) Logged(text string) bool { return p.log.contains(text) }

// WaitForLog blocks until the process has printed the text since it was last started. The
// test fails at once when the process ends without, and when that takes longer than 90 s.
func (p *Process) WaitForLog(text string) {
	p.TB.Helper()
	done, ended := p.Done(), false
	found := Poll(patience, func() bool {
		select {
		case <-done:
			ended = true // all that it has printed is in the log
		default:
		}
		return p.Logged(text) || ended
	})
	switch {
	case !found:
		p.TB.Fatalf("%s did not print %q within %v:\n%s", p.Name, text, patience, p.Log())
	case !p.Logged(text):
		p.TB.Fatalf("%s ended without printing %q:\n%s", p.Name, text, p.Log())
	}
}

// Run runs a program to its end, and returns its exit code and what it has printed. env is
// added to the environment of the tests. A program that can't be started, or has not ended
// after two minutes, fails the test at once.
func Run(tb testing.TB, env []string, stdin string, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		tb.Fatalf("%v did not end within %v:\n%s%s", args, runTimeout, &out, &errOut)
	case err != nil && !errors.As(err, &exit):
		tb.Fatalf("run %v: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

const runTimeout = 2 * time.Minute

// processLog keeps what a process prints, of more than twice logBytes the end.
type processLog struct {
	mu    sync.Mutex
	text  []byte
	begun int // where the text of the last run begins
}

const logBytes = 4 << 20

// begin marks where another run begins.
func (l *processLog) begin(first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !first {
		l.text = fmt.Appendf(l.text, "=== started again at %s\n", time.Now().Format("15:04:05.000"))
	}
	l.begun = len(l.text)
}

// Write implements [io.Writer]. It never fails.
func (l *processLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
	if excess := len(l.text) - logBytes; excess > logBytes {
		l.text = bytes.Clone(l.text[excess:])
		l.begun = max(0, l.begun-excess)
	}
	return len(text), nil
}

func (l *processLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

func (l *processLog) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text[l.begun:], []byte(text))
}
