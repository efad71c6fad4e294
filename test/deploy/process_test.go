package deploy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 90 * time.Second

// process is a running relogin.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs relogin until it is stopped, or the test ends. What it prints must have no
// secret.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), out: &output{}, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = append(os.Environ(), env...), p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		checkSecrets(t, p.out.String())
		if t.Failed() {
			text := p.out.String()
			t.Logf("relogin %s:\n%s", strings.Join(args, " "), text[max(0, len(text)-4000):])
		}
	})
	return p
}

// secrets are passwords, seeds, keys and JWTs.
var secrets = regexp.MustCompile(`secret-of-|S[UAO][A-Z2-7]{20}|PRIVATE KEY|eyJ0eXAi`)

// checkSecrets fails the test when the text has one.
func checkSecrets(t *testing.T, text string) {
	t.Helper()
	if secret := secrets.FindString(text); secret != "" {
		t.Errorf("a secret (%s…) is told:\n%s", secret, text)
	}
}

// terminate sends SIGTERM and waits for the end with status 0.
func (p *process) terminate() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if status := p.status(); status != 0 {
		p.t.Errorf("exit status %d", status)
	}
}

// status waits for the process to end.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("relogin %v did not end:\n%s", p.cmd.Args[1:], p.out)
	}
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the process has printed the text.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, "relogin to say "+text, func() bool {
		if strings.Contains(p.out.String(), text) {
			return true
		}
		select {
		case <-p.done:
			p.t.Fatalf("relogin %v ended without saying %q:\n%s", p.cmd.Args[1:], text, p.out)
		default:
		}
		return false
	})
}

// run runs relogin to its end, and returns its status and what it prints.
func run(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("relogin %v: %v", args, err)
	}
	checkSecrets(t, out.String()+errOut.String())
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// mustRun runs relogin to its end, which must be a good one.
func mustRun(t *testing.T, env []string, args ...string) string {
	t.Helper()
	status, stdout, stderr := run(t, env, args...)
	if status != 0 {
		t.Fatalf("relogin %v: exit status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
