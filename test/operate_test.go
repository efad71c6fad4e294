package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// answer runs a command with -o json, and decodes its only line.
func answer[T any](s *setting, args ...string) (v T) {
	s.t.Helper()
	text := s.mustRun(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		s.t.Fatalf("relogin %v: %v in %s", args, err, text)
	}
	return v
}

// explained is what relogin explain tells, as far as these tests look.
type explained struct {
	Verdict struct{ Level, Text, Do string }
	Jobs    []struct{ JobID, Pod, Doing, Reason, Behind string }
	Queued  []struct {
		JobID      string
		Ahead      int
		HandedBack bool
	}
	Events []job.Event
	Redis  struct{ Lock *struct{ JobID, Pod string } }
	Job    struct{ State string }
}

// explain waits until the account is explained as wanted.
func (s *setting) explain(what string, is func(explained) bool, args ...string) (e explained) {
	s.t.Helper()
	servers.Eventually(s.t, what, func() bool {
		e = answer[explained](s, append([]string{"explain"}, args...)...)
		return is(e)
	})
	return e
}

// An account is explained in each of the places where its jobs can be.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("wxid_1", gatewaytest.Behaviour{Manual: true})
	s.mustRun("submit", "--id", "first", "wxid_1")
	s.mustRun("submit", "--id", "elsewhere", "wxid_2")
	e := answer[explained](s, "explain", "wxid_2", "--job", "elsewhere")
	if !strings.Contains(e.Verdict.Text, "no worker runs") || len(e.Queued) != 1 || e.Queued[0].Ahead != 1 || e.Job.State != "queued" {
		t.Errorf("without a worker: %+v", e)
	}
	w := s.worker("--pod", "pod-a", "--confirm-timeout", "5m")
	s.event("elsewhere")
	if err := s.gateway.WaitOpen(t.Context(), "wxid_1"); err != nil {
		t.Fatal(err)
	}
	s.mustRun("submit", "--id", "second", "wxid_1")
	e = s.explain("a job that asks and one that waits", func(e explained) bool { return len(e.Jobs) == 2 && e.Jobs[1].Reason == "account" }, "wxid_1", "--job", "second")
	if !strings.Contains(e.Verdict.Text, "for job first in pod pod-a") || e.Jobs[0].Doing != "asking" || e.Jobs[1].Behind != "first" || e.Job.State != "waiting" ||
		e.Redis.Lock == nil || e.Redis.Lock.JobID != "first" || e.Redis.Lock.Pod != "pod-a" {
		t.Errorf("asking: %+v", e)
	}
	for arguments, want := range map[string]string{
		"explain,": "wxid_1\n", "cancel,wxid_1,": "first\n", "pause,--tenant,": "default\n", "pause,--lane,": "urgent\nnormal\n",
	} {
		servers.Eventually(t, fmt.Sprintf("%q is completed as %q", arguments, want), func() bool {
			return strings.HasPrefix(s.mustRun(append([]string{"__complete"}, strings.Split(arguments, ",")...)...), want)
		})
	}
	w.Kill()
	e = s.explain("a dead pod's lock", func(e explained) bool { return len(e.Jobs) == 0 }, "wxid_1")
	if !strings.Contains(e.Verdict.Text, "pod-a, which does not answer, holds the account") {
		t.Errorf("after the pod died: %+v", e.Verdict)
	}
	s.gateway.Answer("wxid_1", gatewaytest.Confirm)
	s.worker("--pod", "pod-b", "--confirm-timeout", "5m")
	if e := s.event("first"); e.Outcome != job.Succeeded || !e.Reconciled {
		t.Errorf("the dead pod's job ended as %+v", e)
	}
	if e = answer[explained](s, "explain", "wxid_1", "--job", "first"); e.Job.State != "ended" || len(e.Events) == 0 {
		t.Errorf("of a job that has ended: %+v", e)
	}
	s.check(3)
	if e = answer[explained](s, "explain", "wxid_2"); !strings.Contains(e.Verdict.Text, "No job waits.") {
		t.Errorf("of an account that is done: %+v", e)
	}
	if e = answer[explained](s, "explain", "wxid_3", "--job", "never"); e.Job.State != "unknown" || !strings.Contains(e.Verdict.Text, "Nothing is known") {
		t.Errorf("of nobody: %+v", e)
	}
}

// A job is cancelled wherever it waits, once, and not when its phone asks.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("wxid_1", gatewaytest.Behaviour{Manual: true})
	s.mustRun("submit", "--id", "queued", "wxid_0")
	s.mustRun("cancel", "wxid_0", "queued", "--by", "me", "--reason", "not needed")
	if e := s.event("queued"); e.Outcome != job.Cancelled || e.Message != "cancelled by me: not needed" || e.Prompted {
		t.Errorf("event: %+v", e)
	}
	w := s.worker("--max-parked", "3", "--confirm-timeout", "5m")
	s.mustRun("submit", "--id", "asks", "wxid_1")
	if err := s.gateway.WaitOpen(t.Context(), "wxid_1"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := s.run("", "cancel", "wxid_1", "asks"); status != 1 || !strings.Contains(stderr, "too late") {
		t.Errorf("cancelled while it asks: status %d, %s", status, stderr)
	}
	s.mustRun("submit", "--id", "waits", "wxid_1")
	s.parked([]*servers.Process{w}, 1)
	s.mustRun("cancel", "wxid_1", "waits")
	if e := s.event("waits"); e.Outcome != job.Cancelled {
		t.Errorf("the job that waited ended as %s", e.Outcome)
	}
	s.parked([]*servers.Process{w}, 0)

	s.mustRun("pause", "--tenant", "default")
	for i := range 8 {
		s.mustRun("submit", "--id", fmt.Sprint("paused-", i), fmt.Sprint("wxid_p", i))
	}
	s.explain("a job that was handed back", func(e explained) bool { return len(e.Queued) == 1 && e.Queued[0].HandedBack }, "wxid_p7")
	if status, stdout, _ := s.run("", "cancel", "--all", "--tenant", "default", "--dry-run"); status != 0 || strings.Count(stdout, "would be cancelled") != 9 {
		t.Errorf("dry run: status %d\n%s", status, stdout)
	}
	if status, stdout, stderr := s.run("", "cancel", "--all", "--tenant", "default"); status != 1 || !strings.Contains(stderr, "cancelled: 8, too late or failed: 1") {
		t.Errorf("all of a tenant: status %d\n%s%s", status, stdout, stderr)
	}
	s.gateway.Answer("wxid_1", gatewaytest.Confirm)
	s.mustRun("resume", "--all")
	s.check(11)
	if got := s.gateway.Stats().Prompts; got != 1 {
		t.Errorf("%d prompts, want the one that was not cancelled", got)
	}
	s.drained()
	if status, _, stderr := s.run("", "cancel", "wxid_1", "asks"); status != 1 || !strings.Contains(stderr, "is not in the queue") {
		t.Errorf("cancelled what has ended: status %d, %s", status, stderr)
	}
}

// A job whose phone asks is not cancelled either once Redis was wiped, also before a pod has seen that.
func TestCancelAfterRedisWasWiped(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("wxid_1", gatewaytest.Behaviour{Manual: true})
	s.worker()
	s.mustRun("submit", "--id", "asks", "wxid_1")
	if err := s.gateway.WaitOpen(t.Context(), "wxid_1"); err != nil {
		t.Fatal(err)
	}
	s.wipe()
	if status, _, stderr := s.run("", "cancel", "wxid_1", "asks"); status != 1 || !strings.Contains(stderr, "nothing was cancelled: Redis") {
		t.Errorf("status %d, %s", status, stderr)
	}
	s.gateway.Answer("wxid_1", gatewaytest.Confirm)
	if e := s.event("asks"); e.Outcome != job.Succeeded {
		t.Errorf("it ended as %s", e.Outcome)
	}
}

// wipe takes from Redis all that it has of the namespace.
func (s *setting) wipe() {
	s.t.Helper()
	options, err := redis.ParseURL(s.redisURL())
	if err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	keys, err := client.Keys(s.t.Context(), s.name+":*").Result()
	if err == nil {
		err = client.Del(s.t.Context(), keys...).Err()
	}
	if err != nil || len(keys) == 0 {
		s.t.Fatalf("%d keys, %v", len(keys), err)
	}
}

// redisURL is where the setting's workers have their locks.
func (s *setting) redisURL() (url string) {
	for _, e := range s.env {
		if value, ok := strings.CutPrefix(e, "RELOGIN_REDIS_URL="); ok {
			url = value
		}
	}
	return url
}

// The status says in a sentence how everything stands.
func TestStatus(t *testing.T) {
	t.Parallel()
	type status struct {
		Verdict struct{ Level, Text, Do string }
		Pods    []struct {
			Pod      string
			Settings map[string]string
		}
		Lanes       []struct{ Jobs, Queued int }
		Open        int
		DeadLetters int
		Differences []struct{ Setting string }
		Outcomes    map[string]int
	}
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("wxid_1", gatewaytest.Behaviour{Manual: true})
	s.mustRun("submit", "wxid_1")
	if got := answer[status](s, "status"); got.Verdict.Level != "problem" || got.Verdict.Text != "No worker answers. Jobs in the queue: 1." || got.Lanes[1].Queued != 1 {
		t.Errorf("without a worker: %+v", got)
	}
	s.worker("--pod", "a", "--confirm-timeout", "5m")
	b := s.worker("--pod", "b", "--confirm-timeout", "5m", "--cooldown", "5m")
	b.WaitForLog("worker ready")
	if err := s.gateway.WaitOpen(t.Context(), "wxid_1"); err != nil {
		t.Fatal(err)
	}
	s.publish([]byte("no job"), nil)
	var got status
	servers.Eventually(t, "both pods and the dead letter", func() bool {
		got = answer[status](s, "status")
		return len(got.Pods) == 2 && got.DeadLetters == 1
	})
	if got.Open != 1 || got.Verdict.Level != "warning" || len(got.Differences) != 1 || got.Differences[0].Setting != "cooldown" || got.Pods[1].Settings["cooldown"] != "5m" {
		t.Errorf("with two workers: %+v", got)
	}
	if text := s.mustRun("status"); !strings.Contains(text, "Pods differ in --cooldown.") || !strings.Contains(text, "wxid_1") {
		t.Errorf("printed:\n%s", text)
	}
	s.gateway.Answer("wxid_1", gatewaytest.Confirm)
	servers.Eventually(t, "an outcome", func() bool { return answer[status](s, "status").Outcomes["succeeded"] == 1 })
}

// The doctor finds nothing that breaks a promise where all is well, and names what does.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := newSetting(t, gatewaytest.Options{Authorization: "secret"})
	type finding struct{ Level, Area, Text, Remedy string }
	examine := func(args ...string) (status int, problems []finding, all string) {
		t.Helper()
		status, stdout, stderr := s.run("", append([]string{"doctor", "-o", "json"}, args...)...)
		for line := range strings.Lines(stdout) {
			var f finding
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				t.Fatalf("%v in %s%s", err, line, stderr)
			}
			if f.Level == "problem" {
				problems = append(problems, f)
			}
		}
		return status, problems, stdout + stderr
	}
	s.worker("--gateway-authorization", "secret").WaitForLog("worker ready")
	if status, problems, all := examine("--gateway-authorization", "secret"); status != 0 || len(problems) > 0 {
		t.Errorf("where all is well: status %d\n%s", status, all)
	}
	status, problems, all := examine("--gateway-authorization", "wrong")
	if status != 1 || len(problems) != 1 || problems[0].Area != "gateway" || !strings.Contains(problems[0].Remedy, "replace the credential") {
		t.Errorf("with a wrong credential: status %d\n%s", status, all)
	}
	if err := s.js.DeleteStream(t.Context(), strings.ToUpper(s.name)+"_DEAD"); err != nil {
		t.Fatal(err)
	}
	status, problems, all = examine("--gateway-authorization", "secret")
	if status != 1 || len(problems) == 0 || !strings.Contains(problems[0].Text, "_DEAD is not there") || !strings.Contains(problems[0].Remedy, "relogin setup") {
		t.Errorf("without the dead stream: status %d\n%s", status, all)
	}
}
