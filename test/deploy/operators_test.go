package deploy

import (
	"slices"
	"strings"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// The operator sees and steers with his own user, workers answer him with theirs, and neither is
// refused anything.
func (d *deployment) testOperators(t *testing.T) {
	operator := slices.Concat(d.nats.env("OPERATOR"), d.redis.env(), []string{"RELOGIN_GATEWAY_URL=" + d.gatewayURL, "RELOGIN_REPLICAS=3", "RELOGIN_ACK_WAIT=2s"})
	w := start(t, d.workerEnv(), "worker", "--pod", "seen")
	w.WaitForLog("worker ready")
	d.gateway.Set("o", gatewaytest.Behaviour{Manual: true})
	mustRun(t, d.nats.env("UPSTREAM"), "submit", "--id", "asks", "o")
	if err := d.gateway.WaitOpen(t.Context(), "o"); err != nil {
		t.Fatal(err)
	}
	if status := mustRun(t, operator, "status"); !strings.Contains(status, "seen") {
		t.Errorf("status does not show the worker:\n%s", status)
	}
	mustRun(t, operator, "pause", "--account", "p")
	mustRun(t, d.nats.env("UPSTREAM"), "submit", "--id", "held", "p")
	servers.Eventually(t, "the paused job is explained", func() bool {
		return strings.Contains(mustRun(t, operator, "explain", "p", "--job", "held"), "waiting (paused)")
	})
	mustRun(t, operator, "cancel", "p", "held")
	mustRun(t, operator, "resume", "--all")
	mustRun(t, operator, "pause", "--list")
	mustRun(t, operator, "dead", "list")
	if status, stdout, stderr := run(t, operator, "cancel", "o", "asks"); status != 1 || !strings.Contains(stderr, "too late") {
		t.Errorf("cancelled a job that asks: %s%s", stdout, stderr)
	}
	d.gateway.Answer("o", gatewaytest.Confirm)
	mustRun(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "q")
	// As a worker, the doctor misses nothing, and has no more than it needs.
	if _, stdout, stderr := run(t, d.workerEnv(), "doctor"); !strings.Contains(stdout, "may do all that a worker needs") || strings.Contains(stdout, "more than a worker needs") {
		t.Errorf("the doctor as a worker:\n%s%s", stdout, stderr)
	}
	mustTerminate(t, w)
	checkNotRefused(t, w)
	d.redis.checkNothingDenied()
}
