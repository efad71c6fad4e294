package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// Everything is paused while confirmations are open: these finish, nobody else is asked, also by
// workers that start meanwhile, and all goes on when it is resumed.
func TestEverythingIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("wxid_0", gatewaytest.Behaviour{Manual: true})
	first := s.worker("--confirm-timeout", "5m")
	s.mustRun("submit", "--id", "open", "wxid_0")
	if err := s.gateway.WaitOpen(t.Context(), "wxid_0"); err != nil {
		t.Fatal(err)
	}
	if _, stdout, _ := s.run("", "pause", "--reason", "the gateway prompts twice", "--by", "me"); !strings.Contains(stdout, "paused: everything") {
		t.Errorf("pause printed: %s", stdout)
	}
	first.WaitForLog("paused by a person")
	for i := range 20 {
		s.mustRun("submit", "--id", fmt.Sprint("later-", i), fmt.Sprint("wxid_", i+1))
	}
	s.mustRun("submit", "--id", "late", "--deadline", "2s", "wxid_late")
	s.gateway.Answer("wxid_0", gatewaytest.Confirm)
	if e := s.event("open"); e.Outcome != job.Succeeded {
		t.Errorf("the confirmation that was open ended as %s", e.Outcome)
	}
	if e := s.event("late"); e.Outcome != job.Expired || e.Prompted {
		t.Errorf("the job whose deadline passed ended as %s", e.Outcome)
	}
	second := s.worker("--confirm-timeout", "5m")
	second.WaitForLog("paused by a person")
	first.Kill()
	second.WaitForLog("worker ready")
	if _, stdout, _ := s.run("", "pause", "--list"); !strings.Contains(stdout, "everything, by me: the gateway prompts twice") {
		t.Errorf("listed:\n%s", stdout)
	}
	if got := s.gateway.Stats().Prompts; got != 1 {
		t.Errorf("%d prompts while everything is paused, want the one from before", got)
	}
	if _, stdout, _ := s.run("", "resume", "--by", "me"); !strings.Contains(stdout, "resumed: everything") {
		t.Errorf("resume printed: %s", stdout)
	}
	s.check(22)
	if status, _, stderr := s.run("", "resume"); status != 1 || !strings.Contains(stderr, "not paused") {
		t.Errorf("resumed twice: status %d, %s", status, stderr)
	}
}

// A pause is about what it says alone, and ends by itself when it shall.
func TestPausesAreAboutWhatTheySay(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{})
	w := s.worker("--log-level", "debug")
	for _, args := range [][]string{{"--lane", "normal"}, {"--account", "wxid_1"}, {"--tenant", "nobody", "--for", "1h"}} {
		s.mustRun(append([]string{"pause"}, args...)...)
	}
	w.WaitForLog("tenant nobody")
	w.WaitForLog("account wxid_1")
	w.WaitForLog("lane normal")
	s.mustRun("submit", "--urgent", "--wait", "wxid_2")
	s.mustRun("submit", "--urgent", "--id", "held", "wxid_1")
	s.mustRun("submit", "--id", "slow", "wxid_3")
	s.mustRun("pause", "--lane", "normal", "--for", "1s")
	if e := s.event("slow"); e.Outcome != job.Succeeded {
		t.Errorf("the job ended as %s after the pause of its lane", e.Outcome)
	}
	if got := s.gateway.Account("wxid_1").Prompts; got != 0 {
		t.Error("the account that is paused was asked")
	}
	s.mustRun("resume", "--all")
	s.check(3)
}
