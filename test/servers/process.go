//go:build linux

package servers

import (
	"bytes"
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

// Process is a server or a worker, which may be started again and again. It does not
// outlive the tests.
type Process struct {
	TB   testing.TB
	Name string   // of its log
	Args []string // the program, and its arguments
	Env  []string // beside the tests' own

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	log    tail
	killed []time.Time
}

// Start starts the process, with more of an environment.
func (p *Process) Start(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Env = append(append(os.Environ(), p.Env...), env...)
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no process outlives the tests
	if err := cmd.Start(); err != nil {
		p.TB.Errorf("start %s: %v", p.Name, err)
		return
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	fmt.Fprintf(&p.log, "%s%s\n", startMark, time.Now().Format("15:04:05.000"))
	go func() {
		_ = cmd.Wait()
		p.mu.Lock()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			p.killed = append(p.killed, time.Now())
		}
		p.mu.Unlock()
		close(done)
	}()
}

// Signal sends one to the process, if it runs.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// Ended returns a channel that is closed when the process has ended; nil when it was never
// started.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// Kill ends the process by kill -9, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Ended()
}

// EndedBy tells whether the process's last run was ended by the signal.
func (p *Process) EndedBy(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.ProcessState == nil {
		return false // it runs again
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == s
}

// Status returns the exit status of the process's last run, -1 while it runs and when a
// signal ended it.
func (p *Process) Status() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.ProcessState == nil {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// IsStopped tells whether a SIGSTOP holds the process.
func (p *Process) IsStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "T")
}

// Killed returns when the process was ended by a kill -9.
func (p *Process) Killed() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.killed)
}

// Log returns the end of what the process has printed, in all its runs.
func (p *Process) Log() string { return p.log.String() }

// PID returns the number of the process, 0 when it was never started.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

const startMark = "=== started at "

// Says tells whether the process has printed the text since it was started.
func (p *Process) Says(text string) bool {
	all := p.log.String()
	return strings.Contains(all[max(strings.LastIndex(all, startMark), 0):], text)
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 256 << 10

func (l *tail) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
	if len(l.text) > 2*tailBytes {
		l.text = bytes.Clone(l.text[len(l.text)-tailBytes:])
	}
	return len(text), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Eventually blocks until the condition is fulfilled, at most for the limit, and returns
// whether it is. It asks every 20 ms.
func Eventually(limit time.Duration, condition func() bool) bool {
	for until := time.Now().Add(limit); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}
