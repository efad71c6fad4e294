//go:build linux

package faults

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// verdict is what the table shows of one run, or of several together.
type verdict struct {
	rounds, jobs, events, prompts, dead int
	mostOpen, mostEvents                int // at once on one account; of one job
	lost, twice                         int // jobs without an event; jobs prompted twice, and no data of Redis's was lost meanwhile
	twiceLost                           int // jobs prompted twice, and it was
	wrong                               int // events that contradict a job or another event
	outcomes                            map[job.Outcome]int
	shared, reconciled                  int
	takeovers                           []time.Duration
	steered                             steered
}

// judge checks the promises against what the gateway and the stream have recorded.
func (w *world) judge(v *verdict) {
	l := w.load
	l.mu.Lock()
	defer l.mu.Unlock()
	events, prompts := w.events(), w.gateway.Prompts()
	v.rounds++
	v.jobs += len(l.jobs)
	v.dead += l.dead
	v.events += len(events)
	v.prompts += len(prompts)
	v.mostOpen = max(v.mostOpen, w.mostOpen(prompts))
	byJob, before := map[string][]stored{}, map[string][]stored{}
	for _, e := range events {
		v.outcomes[e.Outcome]++
		if e.Outcome == job.Invalid && l.comesBack(e.JobID) {
			before[e.ID] = append(before[e.ID], e) // it is about a message: another of the job may have other bytes
			continue
		}
		byJob[e.JobID] = append(byJob[e.JobID], e)
		if e.SharedWith != "" {
			v.shared++
		}
		if e.Reconciled {
			v.reconciled++
		}
	}
	for id := range l.jobs {
		if len(byJob[id]) == 0 {
			v.lost++
			w.t.Errorf("LOST: job %s of %s has no event", id, l.jobs[id].WcID)
		}
	}
	v.steered.broughtBack += len(before)
	w.onlyOneEach(before, v)
	w.onlyOneEach(byJob, v)
	for id, all := range byJob {
		if wrong := w.contradiction(all[0], byJob); wrong != "" {
			v.wrong++
			w.t.Errorf("WRONG: event of job %s: %s: %v", id, wrong, all[0])
		}
	}
	w.promptedTwice(prompts, v)
	w.takeovers(prompts, byJob, v)
	w.judgeSteering(prompts, byJob, &v.steered)
}

// onlyOneEach sees that nothing has two events. What is invalid may, when the record of that was lost
// long before its dead letter was replayed.
func (w *world) onlyOneEach(each map[string][]stored, v *verdict) {
	for _, all := range each {
		if all[0].Outcome == job.Invalid && w.lostWithin(all[0].at.Add(-lease), all[len(all)-1].at) {
			all = all[:1]
		}
		v.mostEvents = max(v.mostEvents, len(all))
		if len(all) > 1 {
			w.t.Errorf("TWICE: job %s has %d events: %v", all[0].JobID, len(all), all)
		}
	}
}

// mostOpen recomputes how many prompts were open at once on one account.
func (w *world) mostOpen(prompts []gatewaytest.Prompt) (most int) {
	byAccount := map[string][]gatewaytest.Prompt{}
	for _, p := range prompts {
		byAccount[p.WcID] = append(byAccount[p.WcID], p)
	}
	for account, all := range byAccount {
		slices.SortFunc(all, func(a, b gatewaytest.Prompt) int { return a.Start.Compare(b.Start) })
		for i, p := range all {
			open := 1
			for _, q := range all[:i] {
				if q.End.IsZero() || q.End.After(p.Start) {
					open++
					w.t.Errorf("OVERLAP: %s was prompted for %s %s while its prompt for %s was open, %s to %s", account,
						p.AID, p.Start.Format(stamp), q.AID, q.Start.Format(stamp), q.End.Format(stamp))
				}
			}
			most = max(most, open)
		}
	}
	if counted := w.gateway.Stats().MaxOpenPerAccount; counted != most {
		w.t.Errorf("the gateway counted %d prompts open at once, its record shows %d", counted, most)
	}
	return most
}

const stamp = "15:04:05.000"

// contradiction returns what an event says that cannot be, "" if nothing.
func (w *world) contradiction(e stored, byJob map[string][]stored) string {
	l := w.load
	j, known := l.jobs[e.JobID]
	switch {
	case !known:
		return "no such job was stored"
	case e.WcID != j.WcID || e.Tenant != cmp.Or(j.Tenant, "default"):
		return "its account or tenant is another"
	case (e.Outcome == job.Invalid) != l.invalid[e.JobID]:
		return fmt.Sprintf("outcome %s", e.Outcome)
	case e.Outcome == job.Cancelled && (!w.operator.tried[e.JobID] || e.Prompted):
		return "nobody has tried to cancel it, or it says that it prompted"
	case e.Outcome == job.Expired && j.Deadline.IsZero():
		return "there was no deadline"
	case e.Outcome == job.Expired && e.at.Before(j.Deadline.Add(-1500*time.Millisecond)):
		return "more than the minimal time was left"
	case e.Prompted && e.SharedWith != "":
		return "prompted and shared"
	case e.Outcome == job.Succeeded && (e.Login == nil || e.Login.WID == "" || e.Login.WcID != e.WcID):
		return "a success without its login"
	case e.SharedWith == "":
		return ""
	}
	with := byJob[e.SharedWith]
	switch {
	case len(with) == 0:
		return "shared with a job that has no event"
	case with[0].WcID != e.WcID || with[0].Tenant != e.Tenant:
		return fmt.Sprintf("shared with another's: %v", with[0])
	case w.lostWithin(e.FinishedAt.Add(-lease), with[0].at):
		return "" // the other's result was lost, and it ended once more
	case w.lostWithin(with[0].at, e.FinishedAt):
		return "" // the other's record was lost with its event stored: a copy of its message prompted once more
	case with[0].Outcome != e.Outcome || !with[0].Prompted:
		return fmt.Sprintf("shared what the other has not: %v", with[0])
	}
	return ""
}

// lostWithin tells whether Redis lost data in that time.
func (w *world) lostWithin(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.losses, func(loss time.Time) bool { return loss.After(from) && loss.Before(to) })
}

// promptedTwice counts the jobs that made their phone ask more than once.
func (w *world) promptedTwice(prompts []gatewaytest.Prompt, v *verdict) {
	last := map[string]time.Time{}
	for _, p := range prompts {
		before, again := last[p.AID]
		last[p.AID] = p.Start
		if !again {
			continue
		}
		// What was written shortly before a loss is gone; half a second is the fault's own.
		if w.lostWithin(before.Add(-lease), p.Start.Add(500*time.Millisecond)) {
			v.twiceLost++
			w.t.Logf("prompted twice after a loss: job %s of %s, %s and %s", p.AID, p.WcID, before.Format(stamp), p.Start.Format(stamp))
		} else {
			v.twice++
			w.t.Errorf("PROMPTED TWICE: job %s of %s, %s and %s", p.AID, p.WcID, before.Format(stamp), p.Start.Format(stamp))
		}
	}
}

// takeovers collects how long the jobs whose worker was killed took to end.
func (w *world) takeovers(prompts []gatewaytest.Prompt, byJob map[string][]stored, v *verdict) {
	for _, p := range prompts {
		for _, process := range w.workers {
			killed := slices.ContainsFunc(process.Killed(), func(at time.Time) bool { return p.Gone.Sub(at).Abs() < 300*time.Millisecond })
			if events := byJob[p.AID]; killed && len(events) > 0 {
				v.takeovers = append(v.takeovers, events[0].at.Sub(p.Gone))
				break
			}
		}
	}
}
