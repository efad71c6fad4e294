package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// A tenant that was forgotten: its jobs die, and are brought back under their ids once it is
// configured.
func TestDeadJobsComeBack(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	tenants := filepath.Join(t.TempDir(), "tenants.yaml")
	configure := func(names ...string) {
		t.Helper()
		text := ""
		for _, name := range names {
			text += fmt.Sprintf("%s:\n  url: %s\n", name, s.gateway.URL)
		}
		if err := os.WriteFile(tenants, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("default")
	w := s.worker("--tenants-file", tenants)
	s.mustRun("submit", "--tenant", "acme", "--id", "job-1", "wxid_1")
	s.publish([]byte(`{"wcId":"wxid_2","tenant":"acme"}`), nil)
	s.await("the jobs are invalid", func() bool { return len(s.events) == 2 })
	s.dead(2)
	if _, stdout, _ := s.run("", "dead", "list"); !strings.Contains(stdout, `unknown tenant: "acme"`) || !strings.Contains(stdout, "2 accounts") {
		t.Errorf("listed:\n%s", stdout)
	}

	configure("default", "acme")
	w.WaitForLog("gateway settings changed")
	s.mustRun("dead", "replay", "--reason", "unknown tenant")
	s.await("the jobs succeed", func() bool { return len(s.events) == 4 })
	for _, id := range []string{"job-1", strings.ToUpper(s.name) + "_JOBS-2"} {
		if last := s.stored()[2:]; !slices.ContainsFunc(last, func(e *job.Event) bool { return e.JobID == id && e.Outcome == job.Succeeded }) {
			t.Errorf("job %s did not succeed: %+v", id, last)
		}
	}
	for _, account := range []string{"wxid_1", "wxid_2"} {
		if got := s.gateway.Account(account).Prompts; got != 1 {
			t.Errorf("%s was asked %d times", account, got)
		}
	}
	s.dead(0)
}
