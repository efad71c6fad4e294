//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server or a worker, which is started again and again.
type process struct {
	t    testing.TB
	name string
	args []string
	env  []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	log    tail
	killed []time.Time // when it was ended by a kill -9
}

// start starts the process, with more of an environment.
func (p *process) start(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Env = append(append(os.Environ(), p.env...), env...)
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no process outlives the tests
	if err := cmd.Start(); err != nil {
		p.t.Errorf("start %s: %v", p.name, err)
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

// signal sends one to the process, if it runs.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// ended tells whether the process has ended, and ends what it waits for.
func (p *process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// kill ends the process by kill -9, and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended()
}

// endedBy tells whether the process's last run was ended by the signal.
func (p *process) endedBy(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.ProcessState == nil {
		return false // it runs again
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == s
}

// isStopped tells whether a SIGSTOP holds the process.
func (p *process) isStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "T")
}

const startMark = "=== started at "

// says tells whether the process has printed the text since it was started.
func (p *process) says(text string) bool {
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

// eventually waits for a condition, and returns whether it came.
func eventually(limit time.Duration, condition func() bool) bool {
	for until := time.Now().Add(limit); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}
