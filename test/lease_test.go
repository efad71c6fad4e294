package test

import (
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// TestLeasesThatDiffer has Redis lose the lock of a pod with a long --confirm-timeout while
// its prompt is open: a pod with a short one prompts once the long lease is over.
func TestLeasesThatDiffer(t *testing.T) {
	servers.SkipIfShort(t, "it waits for a lease to end")
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{PromptLife: 6 * time.Second})
	redis := servers.StartRedis(t)
	pod := func(name, confirmTimeout string) *servers.Process {
		p := s.start("worker", "--pod", name, "--redis-url", redis.URL(), "--send-window", "500ms",
			"--confirm-timeout", confirmTimeout, "--log-level", "debug", "--log-format", "text")
		p.WaitForLog("worker ready")
		return p
	}
	s.gateway.Set("a", gatewaytest.Behaviour{Manual: true})
	long := pod("long", "6s")
	s.mustRun("submit", "a")
	if err := s.gateway.WaitOpen(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	short := pod("short", "1s")
	short.WaitForLog("pods of this namespace differ in --confirm-timeout or --send-window")
	if !strings.Contains(short.Log(), "lease=2.515s other=7.565s") {
		t.Errorf("it does not name both leases:\n%s", short.Log())
	}
	long.Kill()
	redis.Kill()
	redis.Start()
	s.gateway.Set("a", gatewaytest.Behaviour{})
	j := job.Job{ID: "second", WcID: "a"}
	data, err := j.Encode(job.EncodingJSON)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.js.Publish(t.Context(), s.name+".jobs.urgent", data); err != nil {
		t.Fatal(err)
	}
	// The job of the pod that was killed comes back, and may ask first: then they share.
	if e := s.event("second"); e.Outcome != job.Succeeded || e.Prompted == (e.SharedWith != "") {
		t.Errorf("event %+v", e)
	}
	s.check(2)
	if prompts := s.gateway.Account("a").Prompts; prompts < 2 {
		t.Errorf("%d prompts: the one that was open when Redis lost its lock, and one after it", prompts)
	}
}
