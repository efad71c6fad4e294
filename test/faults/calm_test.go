//go:build linux

package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// submit publishes a job when all is healed.
func (w *world) submit(id, account string) {
	j := job.Job{ID: id, WcID: account, AID: id}
	data, err := j.Encode(job.EncodingMsgpack)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.PublishAsync(namespace+".jobs.normal", data); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) eventsStream() jetstream.Stream {
	stream, err := w.js.Stream(w.t.Context(), strings.ToUpper(namespace)+"_EVENTS")
	if err != nil {
		w.t.Fatal(err)
	}
	return stream
}

// ended returns how many jobs of the account have an event.
func (w *world) ended(stream jetstream.Stream, account string) (sum uint64) {
	info, err := stream.Info(w.t.Context(), jetstream.WithSubjectFilter(namespace+".events.*."+account))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range info.State.Subjects {
		sum += n
	}
	return sum
}

// calm waits until a batch of jobs is taken the first time. A request for jobs that a server
// still holds for a connection which is gone takes a job along, and it comes again only after
// the ack-wait: too late for the tap of noHeadOfLine.
func (w *world) calm(stream jetstream.Stream) {
	firstTime := func(account string) bool {
		msg, err := stream.GetLastMsgForSubject(w.t.Context(), namespace+".events.succeeded."+account)
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := job.DecodeEvent(msg.Data, msg.Header.Get("Content-Type"))
		if err != nil {
			w.t.Fatal(err)
		}
		return e.Attempts == 1
	}
	round := 0
	servers.Eventually(w.t, "each job of a batch being taken the first time", func() bool {
		round++
		var accounts []string
		for i := range 40 {
			account := fmt.Sprintf("calm_%d_%d", round, i)
			accounts = append(accounts, account)
			w.submit(account, account)
		}
		for _, account := range accounts {
			servers.Eventually(w.t, "a job of "+account, func() bool { return w.ended(stream, account) == 1 })
		}
		return !slices.ContainsFunc(accounts, func(account string) bool { return !firstTime(account) })
	})
}

// noHeadOfLine has one account's jobs wait, and sees others pass them.
func (w *world) noHeadOfLine() {
	w.workers[workers-1].Terminate() // the one whose prompts live for less than this takes
	w.gateway.Set("stuck", gatewaytest.Behaviour{Manual: true})
	stream := w.eventsStream()
	w.calm(stream)
	const jobs = 200
	for i := range jobs {
		w.submit(fmt.Sprint("stuck-", i), "stuck")
	}
	if err := w.gateway.WaitOpen(w.t.Context(), "stuck"); err != nil {
		w.t.Fatal(err)
	}
	w.submit("free", "free")
	if !servers.Poll(confirmTimeout, func() bool { return w.ended(stream, "free") == 1 }) || w.gateway.Account("stuck").Open != 1 {
		w.t.Error("BLOCKED: a job waited for another account's person")
	}
	w.gateway.Answer("stuck", gatewaytest.Confirm)
	if !servers.Poll(time.Minute, func() bool { return w.ended(stream, "stuck") == jobs }) {
		w.t.Error("LOST: jobs that shared one confirmation")
	}
	if n := w.gateway.Account("stuck").Prompts; n != 1 {
		w.t.Errorf("TWICE: one tap should have answered all, and there were %d prompts", n)
	}
}

// pausesWithinASecond pauses everything, and sees that no phone asks from a second after on.
func (w *world) pausesWithinASecond() {
	everything := queue.Target{Scope: queue.ScopeAll}
	if err := w.operator.control.Pause(w.t.Context(), queue.Pause{Target: everything, By: "somebody"}); err != nil {
		w.t.Fatal(err)
	}
	pause(w.t.Context(), time.Second) // what is promised
	const jobs = 40
	account := func(i int) string { return fmt.Sprint("paused_", i) }
	prompted := func() (sum int) {
		for i := range jobs {
			sum += w.gateway.Account(account(i)).Prompts
		}
		return sum
	}
	for i := range jobs {
		w.submit(account(i), account(i))
	}
	servers.Eventually(w.t, "jobs that wait since everything is paused", func() bool {
		pods, err := queue.AskPods[worker.PodState](w.t.Context(), w.nc, namespace)
		if err != nil {
			w.t.Fatal(err)
		}
		waiting := 0
		for _, pod := range pods {
			waiting += pod.Waiting[worker.WaitsForResume]
		}
		return waiting+prompted() >= jobs/2 // some may be with a connection that is gone
	})
	if n := prompted(); n > 0 {
		w.t.Errorf("PAUSED: %d phones asked more than a second after everything was paused", n)
	}
	w.operator.resume(everything)
	servers.Eventually(w.t, "the prompts of accounts that were paused", func() bool { return prompted() >= jobs/2 })
}
