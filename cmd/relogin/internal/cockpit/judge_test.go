package cockpit

import (
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// The first thing that fits is what to look at first.
func TestOverviewVerdict(t *testing.T) {
	pod := func(change func(*worker.PodState)) worker.PodState {
		p := worker.PodState{Pod: "a", Status: worker.Status{Concurrency: 10}, Settings: map[string]string{"cooldown": "1m"}}
		if change != nil {
			change(&p)
		}
		return p
	}
	fine := pod(nil)
	locked := pod(func(p *worker.PodState) { p.Trouble = []string{"locks: redis may have lost some"} })
	for about, test := range map[string]struct {
		o     Overview
		level Level
		text  string
	}{
		"no pod":           {Overview{}, Trouble, "No worker answers"},
		"a pod that stops": {Overview{Pods: []worker.PodState{pod(func(p *worker.PodState) { p.Stopping = true })}}, Trouble, "No worker answers"},
		"all well":         {Overview{Pods: []worker.PodState{fine}}, Well, "All is well"},
		"everything paused": {Overview{Pods: []worker.PodState{locked}, Pauses: []*queue.Pause{
			{Target: queue.Target{Scope: queue.ScopeTenant, Name: "acme"}}, {Target: queue.Target{Scope: queue.ScopeAll}, By: "me", At: noon}}}, Trouble, "Everything is paused since 2026-05-04T12:00:00Z, by me"},
		"all pods blocked": {Overview{Pods: []worker.PodState{locked}}, Trouble, "No pod starts a confirmation: locks: redis"},
		"one pod blocked":  {Overview{Pods: []worker.PodState{fine, locked}}, Look, "1 of the 2 pods"},
		"a tenant paused":  {Overview{Pods: []worker.PodState{fine}, Pauses: []*queue.Pause{{Target: queue.Target{Scope: queue.ScopeTenant, Name: "acme"}}}}, Look, "Tenant acme is paused"},
		"a credential": {Overview{Pods: []worker.PodState{pod(func(p *worker.PodState) { p.Refused = []worker.RefusedState{{Tenant: "acme"}} })}}, Look,
			"refuses the credential of acme"},
		"full":      {Overview{Pods: []worker.PodState{fine}, Open: 9, Lanes: []queue.LaneState{{Jobs: 500}}}, Look, "Nearly all of the 10 slots"},
		"differing": {Overview{Pods: []worker.PodState{fine}, Differences: []Difference{{Setting: "cooldown"}}}, Look, "differ in --cooldown"},
		"at work":   {Overview{Pods: []worker.PodState{fine}, Open: 3, Lanes: []queue.LaneState{{Jobs: 3}}}, Well, "phones that ask now: 3"},
	} {
		if v := test.o.judge(); v.Level != test.level || !strings.Contains(v.Text, test.text) || (v.Level != Well && v.Do == "") {
			t.Errorf("%s: %+v, want %s: %s", about, v, test.level, test.text)
		}
	}
}

func TestDifferences(t *testing.T) {
	pod := func(name, cooldown string) worker.PodState {
		return worker.PodState{Pod: name, Settings: map[string]string{"cooldown": cooldown, "lease": "5m"}}
	}
	all := differences([]worker.PodState{pod("a", "1m"), pod("b", "1m"), pod("c", "2m")})
	if len(all) != 1 || all[0].Setting != "cooldown" || len(all[0].Values["1m"]) != 2 || all[0].Values["2m"][0] != "c" {
		t.Errorf("differences: %+v", all)
	}
}

func TestAccountVerdict(t *testing.T) {
	waits := func(r worker.Reason) []PodJob {
		return []PodJob{{"pod-a", worker.JobStatus{JobID: "j", Activity: worker.Activity{Doing: worker.Waiting, Reason: r, Since: noon}}}}
	}
	asking := []PodJob{{"pod-a", worker.JobStatus{JobID: "j", Activity: worker.Activity{Doing: worker.Asking, Since: noon, Until: noon.Add(time.Minute)}}}}
	held := &cache.AccountState{Now: noon, Lock: &cache.Lock{JobID: "other", Pod: "pod-b", Until: noon.Add(time.Minute)}}
	free := &cache.AccountState{Now: noon}
	pods := []worker.PodState{{Pod: "pod-a"}}
	queued := []QueuedJob{{JobID: "j", Lane: job.Normal, Ahead: 7}}
	for about, test := range map[string]struct {
		a     Account
		level Level
		text  string
	}{
		"asking":        {Account{Redis: held, Jobs: asking, pods: pods}, Well, "somebody has to tap it, at most 1m0s more"},
		"a dead pod":    {Account{Redis: held, Jobs: waits(worker.WaitsForAccount), pods: pods}, Look, "pod-b, which does not answer, holds the account"},
		"a lost answer": {Account{Redis: held, Jobs: waits(worker.WaitsForAccount), pods: append(pods, worker.PodState{Pod: "pod-b"})}, Look, "got lost"},
		"paused":        {Account{Redis: free, Jobs: waits(worker.WaitsForResume), pods: pods}, Trouble, "Job j is paused"},
		"a credential":  {Account{Redis: free, Jobs: waits(worker.WaitsForCredential), pods: pods}, Trouble, "refuses its tenant's credential"},
		"no worker":     {Account{Redis: free, Queued: queued}, Trouble, "no worker runs"},
		"in the queue":  {Account{Redis: free, Queued: queued, pods: pods}, Look, "behind about 7 others"},
		"queue paused":  {Account{Redis: free, Queued: queued, pods: pods, Pauses: []*queue.Pause{{Target: queue.Target{Scope: queue.ScopeAll}}}}, Trouble, "everything is paused"},
		"cooling down":  {Account{Redis: &cache.AccountState{Now: noon, Cooling: &cache.Cooling{Reason: "it failed", Until: noon.Add(time.Minute)}}}, Look, "throttled, for at most 1m0s more: it failed"},
		"ended":         {Account{Redis: free, Events: []*job.Event{{JobID: "j", Result: job.Result{Outcome: job.Succeeded, FinishedAt: noon}}}}, Well, "ended as succeeded"},
		"nothing":       {Account{Redis: free}, Well, "Nothing is known"},
	} {
		if v := test.a.judge(); v.Level != test.level || !strings.Contains(v.Text, test.text) {
			t.Errorf("%s: %+v, want %s: %s", about, v, test.level, test.text)
		}
	}
	for reason, says := range reasons {
		if says.text == "" {
			t.Errorf("nothing is said of %s", reason)
		}
	}
}
