//go:build linux

package faults

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// steered is what the table shows of what people did.
type steered struct {
	pauses, prompted int           // of single targets that were certainly in effect; prompts that began meanwhile
	held             time.Duration // how long these pauses were in effect, together
	known            []time.Duration
	tried, replayed  int
	broughtBack      int // messages of jobs that ended as invalid, until their tenant was known
	asked            int // jobs that ended as cancelled, or were said to be, and asked their phone all the same
}

// rows are the table's. The worst pauses are known late since a worker is stopped or cut off then.
func (v *steered) rows(row func(string, any)) {
	slices.Sort(v.known)
	row("pauses of an account, a lane, a tenant or everything", fmt.Sprintf("%d, in effect for %v", v.pauses, v.held.Round(time.Second)))
	if n := len(v.known); n > 0 {
		row("known to all workers p50, p90", fmt.Sprintf("%v, %v", v.known[n/2].Round(time.Millisecond), v.known[n*9/10].Round(time.Millisecond)))
	}
	row("prompts of who was paused (must be 0)", v.prompted)
	row("jobs that somebody tried to cancel", v.tried)
	row("jobs cancelled and prompted (must be 0)", v.asked)
	row("dead letters replayed", v.replayed)
	row("messages brought back since their tenant became known", v.broughtBack)
}

// judgeSteering checks what was promised to those who paused and cancelled. The load's lock is held.
func (w *world) judgeSteering(prompts []gatewaytest.Prompt, byJob map[string][]stored, v *steered) {
	o := w.operator
	o.mu.Lock()
	defer o.mu.Unlock()
	v.known = append(v.known, o.known...)
	v.tried += len(o.tried)
	v.replayed += o.replayed
	for _, h := range o.held {
		v.pauses++
		v.held += h.to.Sub(h.from)
	}
	for _, p := range prompts {
		w.promptedWhilePaused(p, v)
		w.promptedAndCancelled(p, byJob[p.AID], v)
	}
	for id := range o.cancelled {
		w.saidCancelled(id, byJob[id])
	}
}

func (w *world) promptedWhilePaused(p gatewaytest.Prompt, v *steered) {
	j := w.load.jobs[p.AID]
	if j == nil {
		return // its event says so
	}
	paused := func(h held) bool {
		return h.about(j, w.load.lanes[j.ID]) && p.Start.After(h.from) && p.Start.Before(h.to)
	}
	if i := slices.IndexFunc(w.operator.held, paused); i >= 0 {
		h := w.operator.held[i]
		v.prompted++
		w.t.Errorf("PAUSED: %s was prompted for %s at %s, and %s was paused for certain from %s to %s", p.WcID, p.AID,
			p.Start.Format(stamp), h.Target, h.from.Format(stamp), h.to.Format(stamp))
	}
}

// about tells whether the job is paused with the target. The lane is empty for a job that was in both.
func (h held) about(j *job.Job, lane job.Lane) bool {
	switch h.Scope {
	case queue.ScopeAll:
		return true
	case queue.ScopeLane:
		return h.Name == string(lane)
	case queue.ScopeTenant:
		return h.Name == cmp.Or(j.Tenant, "default")
	}
	return h.Name == j.WcID
}

func (w *world) promptedAndCancelled(p gatewaytest.Prompt, events []stored, v *steered) {
	if len(events) == 0 || events[0].Outcome != job.Cancelled {
		return
	}
	first, last := p.Start, events[0].at
	if last.Before(first) {
		first, last = last, first
	}
	if !w.lostWithin(first.Add(-lease), last.Add(500*time.Millisecond)) { // else the prompt, or the cancelling, was forgotten
		v.asked++
		w.t.Errorf("CANCELLED: job %s of %s was prompted at %s: %v", p.AID, p.WcID, p.Start.Format(stamp), events[0])
	}
}

// saidCancelled sees that a job of which the command said that it is cancelled has that event.
func (w *world) saidCancelled(id string, events []stored) {
	if len(events) == 0 || events[0].Outcome == job.Cancelled {
		return // a job without an event is lost, and reported
	}
	if said := w.operator.cancelled[id]; !w.lostWithin(events[0].at.Add(-lease), said) {
		w.t.Errorf("CANCELLED: it was said of job %s at %s, and its event is %v", id, said.Format(stamp), events[0])
	}
}
