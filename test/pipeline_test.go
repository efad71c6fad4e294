package test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// Three workers, more jobs than accounts, and a command that waits for them all.
func TestManyJobs(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{ConfirmAfter: 20 * time.Millisecond, Jitter: 30 * time.Millisecond})
	for range 3 {
		s.worker()
	}
	const jobs, accounts = 2000, 400
	var lines strings.Builder
	for i := range jobs {
		fmt.Fprintf(&lines, "wxid_%d\n", i%accounts)
	}
	status, stdout, stderr := s.run(lines.String(), "submit", "--file", "-", "--wait")
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, stdout, stderr)
	}
	s.check(jobs)
	if stats := s.gateway.Stats(); stats.Prompts < accounts || stats.Prompts > jobs {
		t.Errorf("%d prompts for %d accounts", stats.Prompts, accounts)
	}
}

func TestSubmitTellsFailure(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.worker()
	status, stdout, _ := s.run("", "submit", "--wait", "-o", "json", "decline-1")
	var e job.Event
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || status != 1 || e.Outcome != job.Failed || e.Code != "1001" {
		t.Errorf("exit status %d, event %+v, %v", status, e, err)
	}
}

// A job that somebody writes by hand, and a reader that knows no msgpack.
func TestJSONByHand(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.worker()
	watch := s.start("watch", "-o", "json", "--count", "1", "--since", "1h")
	msg := &nats.Msg{Subject: s.name + ".jobs.urgent", Data: []byte(`{"wcId":"wxid.hand made","labels":{"by":"hand"}}`),
		Header: nats.Header{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}
	if _, err := s.nc.RequestMsg(msg, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if status := watch.Wait(); status != 0 {
		t.Fatalf("watch: exit status %d\n%s", status, watch.Log())
	}
	var e job.Event
	if err := json.Unmarshal([]byte(watch.Log()), &e); err != nil {
		t.Fatalf("%v:\n%s", err, watch.Log())
	}
	wantID := strings.ToUpper(s.name) + "_JOBS-1"
	if e.WcID != "wxid.hand made" || e.JobID != wantID || e.Outcome != job.Succeeded || e.Labels["by"] != "hand" || !e.Prompted {
		t.Errorf("event %+v", e)
	}
	stream, err := s.js.Stream(t.Context(), strings.ToUpper(s.name)+"_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), s.name+".events.succeeded."+job.AccountToken(e.WcID))
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Nats-Msg-Id": e.ID, "ce-id": e.ID, "ce-specversion": "1.0", "ce-type": "relogin.succeeded",
		"ce-subject": "wxid.hand%20made", "traceparent": msg.Header.Get("traceparent"),
	} {
		if got := stored.Header.Get(header); got != want {
			t.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
}

// One tap answers all, at no cost to those who wait or to other accounts.
func TestHotAccount(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("hot", gatewaytest.Behaviour{Manual: true})
	s.env = append(s.env, "RELOGIN_CONFIRM_TIMEOUT=5m")
	workers := []*servers.Process{s.worker(), s.worker(), s.worker()}
	const jobs = 1000
	s.mustRun("submit", "--id", "first", "hot")
	if err := s.gateway.WaitOpen(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := s.run(strings.Repeat("hot\n", jobs-1), "submit", "--file", "-"); status != 0 {
		t.Fatal(stderr)
	}
	s.parked(workers, jobs-1)

	s.mustRun("submit", "--wait", "other-1", "other-2", "other-3")
	if !s.gateway.Answer("hot", gatewaytest.Confirm) {
		t.Fatal("no prompt is open")
	}
	s.check(jobs + 3)
	shared := 0
	for _, e := range s.events {
		if e.SharedWith == "first" && !e.Prompted && e.Login != nil {
			shared++
		}
	}
	if a := s.gateway.Account("hot"); shared != jobs-1 || a.Prompts != 1 {
		t.Errorf("%d jobs shared the outcome of %d prompts", shared, a.Prompts)
	}
}

// Parked jobs ask Redis nothing: all that it runs meanwhile is for the others.
func TestParkedJobsCostNothing(t *testing.T) {
	url := servers.RealRedis(t)
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("hot", gatewaytest.Behaviour{Manual: true})
	w := s.worker()
	const jobs, others = 100, 20
	s.mustRun("submit", "--id", "first", "hot")
	if err := s.gateway.WaitOpen(t.Context(), "hot"); err != nil {
		t.Fatal(err)
	}
	s.run(strings.Repeat("hot\n", jobs), "submit", "--file", "-")
	s.parked([]*servers.Process{w}, jobs)

	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	before := scripts(t, client)
	var lines strings.Builder
	for i := range others {
		fmt.Fprintf(&lines, "other_%d\n", i)
	}
	if status, _, stderr := s.run(lines.String(), "submit", "--file", "-", "--wait"); status != 0 {
		t.Fatal(stderr)
	}
	const least, most = 2*others + 1, 3 * others // begin and finish, and shrink for one job or for many
	servers.Eventually(t, "the others' last script", func() bool { return scripts(t, client)-before >= least })
	if ran := scripts(t, client) - before; ran > most {
		t.Errorf("%d scripts ran for %d jobs beside %d parked ones, want %d at the most", ran, others, jobs, most)
	}
	s.gateway.Answer("hot", gatewaytest.Confirm)
	s.check(1 + jobs + others)
}

var callsPattern = regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`)

// scripts returns how many scripts the server has run.
func scripts(t *testing.T, client *redis.Client) (calls int) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range callsPattern.FindAllStringSubmatch(info, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		calls += n
	}
	return calls
}

// A pod that is killed leaves prompts on the phones: nobody asks again, and the online
// list tells what became of them.
func TestKilledWorker(t *testing.T) {
	servers.SkipIfShort(t, "it kills a worker, and waits for its lease to end")
	s := newSetting(t, gatewaytest.Options{})
	const jobs = 20
	killed := s.worker()
	for i := range jobs {
		account := fmt.Sprintf("wxid_%d", i)
		s.gateway.Set(account, gatewaytest.Behaviour{Manual: true})
		s.publish(fmt.Appendf(nil, `{"wcId":%q,"id":%q}`, account, account), nil) // not by a process each: prompts die meanwhile
		if err := s.gateway.WaitOpen(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	killed.Kill()
	for i := range jobs / 2 {
		s.gateway.Answer(fmt.Sprintf("wxid_%d", i), gatewaytest.Confirm)
	}
	s.worker()
	s.check(jobs)
	for i := range jobs {
		account := fmt.Sprintf("wxid_%d", i)
		e := s.event(account)
		want := job.Unknown
		if i < jobs/2 {
			want = job.Succeeded
		}
		if e.Outcome != want || e.Reconciled != (want == job.Succeeded) || e.Attempts < 2 || !e.Prompted {
			t.Errorf("%s: %s, reconciled %v, attempts %d: %s", account, e.Outcome, e.Reconciled, e.Attempts, e.Message)
		}
		if a := s.gateway.Account(account); a.Prompts != 1 {
			t.Errorf("%s had %d prompts", account, a.Prompts)
		}
	}
}

func TestGracefulStop(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("open", gatewaytest.Behaviour{Manual: true})
	first := s.worker()
	s.mustRun("submit", "--id", "open", "open")
	if err := s.gateway.WaitOpen(t.Context(), "open"); err != nil {
		t.Fatal(err)
	}
	s.mustRun("submit", "--id", "waiting", "open")
	s.parked([]*servers.Process{first}, 1)

	first.Signal(syscall.SIGTERM)
	first.WaitForLog("stopping")
	s.worker()
	s.gateway.Answer("open", gatewaytest.Confirm)
	if status := first.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	s.check(2)
	if e := s.event("open"); e.Outcome != job.Succeeded || e.Reconciled || e.Attempts != 1 {
		t.Errorf("open: %+v", e)
	}
	if e := s.event("waiting"); e.SharedWith != "open" || e.Attempts != 2 {
		t.Errorf("waiting: %+v", e)
	}
}

// What the end of the grace cuts off keeps its lock.
func TestGraceEnds(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("slow", gatewaytest.Behaviour{Manual: true})
	s.env = append(s.env, "RELOGIN_SHUTDOWN_GRACE=200ms")
	first := s.worker()
	s.mustRun("submit", "--id", "slow", "slow")
	if err := s.gateway.WaitOpen(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	if status := first.Terminate(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	s.worker()
	s.mustRun("submit", "--id", "next", "slow")
	s.gateway.Answer("slow", gatewaytest.Confirm)
	s.check(2)
	if e := s.event("slow"); !e.Reconciled {
		t.Errorf("slow: %+v", e)
	}
	if e := s.event("next"); e.SharedWith != "slow" {
		t.Errorf("next: %+v", e)
	}
	if a := s.gateway.Account("slow"); a.Prompts != 1 {
		t.Errorf("%d prompts", a.Prompts)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.gateway.Set("slow", gatewaytest.Behaviour{Manual: true})
	first := s.worker()
	s.mustRun("submit", "slow")
	if err := s.gateway.WaitOpen(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	first.Signal(syscall.SIGTERM)
	first.WaitForLog("stopping")
	if status := first.Terminate(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
}

// A normal backlog that fills every worker must not hold up an urgent job.
func TestUrgentPassesABacklog(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	s.env = append(s.env, "RELOGIN_CONCURRENCY=4")
	s.worker()
	var lines strings.Builder
	for i := range 50 {
		account := fmt.Sprintf("normal_%d", i)
		s.gateway.Set(account, gatewaytest.Behaviour{Manual: true})
		lines.WriteString(account + "\n")
	}
	s.run(lines.String(), "submit", "--file", "-")
	s.mustRun("submit", "--urgent", "--wait", "urgent_1")
}
