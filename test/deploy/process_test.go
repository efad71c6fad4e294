package deploy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

// start runs relogin until it is stopped, or the test ends. What it prints must have no
// secret.
func start(t *testing.T, env []string, args ...string) *servers.Process {
	t.Helper()
	p := &servers.Process{TB: t, Name: strings.Join(append([]string{"relogin"}, args...), " "), Args: append([]string{binary}, args...), Env: env}
	p.Start()
	t.Cleanup(func() {
		p.Kill()
		checkSecrets(t, p.Log())
	})
	return p
}

// mustTerminate sends SIGTERM, and wants the process to end with status 0.
func mustTerminate(t *testing.T, p *servers.Process) {
	t.Helper()
	if status := p.Terminate(); status != 0 {
		t.Errorf("%s: exit status %d", p.Name, status)
	}
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

// run runs relogin to its end, and returns its status and what it prints.
func run(t *testing.T, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	status, stdout, stderr = servers.Run(t, env, "", append([]string{binary}, args...)...)
	checkSecrets(t, stdout+stderr)
	return status, stdout, stderr
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
