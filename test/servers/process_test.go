//go:build unix

package servers

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func shell(t *testing.T, script string) *Process {
	return &Process{TB: t, Name: "sh", Args: []string{"sh", "-c", script}, Env: []string{"WORD=one"}}
}

func TestProcessEndsByItself(t *testing.T) {
	p := shell(t, `echo "$WORD"; echo error >&2; exit 3`)
	if p.Done() != nil || p.PID() != 0 {
		t.Error("it is there before it was started")
	}
	p.Start()
	if code := p.Wait(); code != 3 || p.EndedBy(syscall.SIGKILL) || p.Log() != "one\nerror\n" {
		t.Errorf("exit code %d, log %q", code, p.Log())
	}
	p.WaitForLog("error") // also of one that has ended
	p.Kill()              // as it has ended: nothing
}

func TestProcessStartsAgain(t *testing.T) {
	p := shell(t, `echo "word $WORD"; exec sleep 60`)
	p.Start()
	p.WaitForLog("word one")
	first := p.Done()
	p.Kill()
	p.Start("WORD=two")
	p.WaitForLog("word two")
	if p.Logged("word one") || !strings.Contains(p.Log(), "word one") {
		t.Errorf("log %q", p.Log())
	}
	if first == p.Done() || len(p.Killed()) != 1 {
		t.Errorf("it was killed at %v", p.Killed())
	}
}

func TestProcessIsSignalled(t *testing.T) {
	p := shell(t, `trap 'echo got it; exit 4' TERM; echo ready; while :; do sleep 0.01; done`)
	p.Start()
	p.WaitForLog("ready")
	if p.ExitCode() != -1 || p.EndedBy(syscall.SIGTERM) {
		t.Error("it has ended")
	}
	if code := p.Terminate(); code != 4 || !p.Logged("got it") {
		t.Errorf("exit code %d, log %q", code, p.Log())
	}
}

func TestProcessEndsWithItsTest(t *testing.T) {
	var p *Process
	t.Run("stopped", func(t *testing.T) {
		p = shell(t, "echo ready; while :; do sleep 1; done")
		p.Start()
		p.WaitForLog("ready")
		p.Signal(syscall.SIGSTOP)
	})
	select {
	case <-p.Done():
	default:
		t.Error("it outlives its test")
	}
	if !p.EndedBy(syscall.SIGKILL) || p.ExitCode() != -1 {
		t.Errorf("exit code %d", p.ExitCode())
	}
}

func TestProcessLogKeepsTheEnd(t *testing.T) {
	var l processLog
	l.begin(true)
	line := strings.Repeat("x", 1<<20-1) + "\n"
	for range 3 {
		_, _ = l.Write([]byte(line))
	}
	l.begin(false)
	_, _ = l.Write([]byte("second\n"))
	for range 10 {
		_, _ = l.Write([]byte(line))
		if n := len(l.String()); n > 2*logBytes {
			t.Fatalf("it keeps %d bytes", n)
		}
	}
	_, _ = l.Write([]byte("last"))
	if text := l.String(); !strings.HasSuffix(text, "x\nlast") || len(text) < logBytes {
		t.Errorf("%d bytes, which end in %q", len(text), text[len(text)-6:])
	}
	if !l.contains("last") || l.contains("second") || l.contains("started again") {
		t.Error("it does not know what the last run has printed")
	}
}

func TestPoll(t *testing.T) {
	calls := 0
	if Poll(0, func() bool { calls++; return calls == 1 }); calls != 1 {
		t.Errorf("%d calls of what holds", calls)
	}
	if Poll(50*time.Millisecond, func() bool { return false }) {
		t.Error("what never holds does")
	}
	left := 3
	Eventually(t, "the third call", func() bool { left--; return left == 0 })
}
