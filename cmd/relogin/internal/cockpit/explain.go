package cockpit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relogin/relogin/cache"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

const (
	shownEvents = 20               // of an account, the last ones
	shownQueued = 100              // of an account's jobs in the queue, the first ones
	scanTime    = 10 * time.Second // how long the queue is searched
)

// Account is all that is known of an account. Its names in JSON do not change.
type Account struct {
	At      time.Time           `json:"at"`
	WcID    string              `json:"wcId"`
	Verdict Verdict             `json:"verdict"`
	Redis   *cache.AccountState `json:"redis"`
	Jobs    []PodJob            `json:"jobs"`              // those that pods have, the oldest activity first
	Queued  []QueuedJob         `json:"queued"`            // those in the queue that no pod has
	Pauses  []*queue.Pause      `json:"pauses"`            // those that may be about its jobs
	Events  []*job.Event        `json:"events"`            // its last ones, the oldest first
	Partial string              `json:"partial,omitempty"` // what could not be looked at

	pods []worker.PodState
}

// PodJob is a job that a pod has.
type PodJob struct {
	Pod string `json:"pod"`
	worker.JobStatus
}

// QueuedJob is a job that is in the queue, and that no pod has.
type QueuedJob struct {
	JobID      string    `json:"jobId"`
	Tenant     string    `json:"tenant"`
	Lane       job.Lane  `json:"lane"`
	Sequence   uint64    `json:"sequence"`
	StoredAt   time.Time `json:"storedAt"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Ahead      int       `json:"ahead"`                // how many jobs of its lane are to be delivered before it
	HandedBack bool      `json:"handedBack,omitempty"` // it was delivered before, and comes back after a while
	Invalid    string    `json:"invalid,omitempty"`    // what is wrong with it
}

// Account returns all that is known of the account. It blocks until servers and pods have answered,
// and for at most ten seconds while it searches the queue.
func (s *Sources) Account(ctx context.Context, wcID string) (*Account, error) {
	a := &Account{At: time.Now().UTC(), WcID: wcID, Jobs: []PodJob{}, Queued: []QueuedJob{}, Pauses: []*queue.Pause{}, Events: []*job.Event{}}
	var lanes []queue.LaneState
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { lanes, err = s.Jobs.Lanes(groupCtx); return err })
	group.Go(func() (err error) {
		a.pods, err = queue.AskPods[worker.PodState](groupCtx, s.NATS, s.Namespace)
		if err == nil {
			a.Redis, err = s.Redis.Account(groupCtx, wcID, dailyPrompts(a.pods))
		}
		return err
	})
	group.Go(func() error {
		answers, err := queue.AskPodsAbout[worker.PodJobs](groupCtx, s.NATS, s.Namespace, wcID)
		for _, one := range answers {
			for _, j := range one.Jobs {
				a.Jobs = append(a.Jobs, PodJob{one.Pod, j})
			}
		}
		return err
	})
	group.Go(func() error {
		for e, err := range s.Jobs.History(groupCtx, wcID) {
			if err != nil {
				return err
			}
			if a.Events = append(a.Events, e); len(a.Events) > shownEvents {
				a.Events = a.Events[1:]
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(a.Jobs, func(x, y PodJob) int { return x.Since.Compare(y.Since) })
	if err := s.search(ctx, a, lanes); err != nil {
		return nil, err
	}
	var err error
	if a.Pauses, err = s.Control.PausesOf(ctx, a.targets()...); err != nil {
		return nil, err
	}
	a.Verdict = a.judge()
	return a, nil
}

// targets are those that pauses may have which are about the account's jobs.
func (a *Account) targets() []queue.Target {
	all := []queue.Target{{Scope: queue.ScopeAll}, {Scope: queue.ScopeAccount, Name: a.WcID}}
	for _, lane := range []job.Lane{job.Urgent, job.Normal} {
		all = append(all, queue.Target{Scope: queue.ScopeLane, Name: string(lane)})
	}
	tenants := map[string]bool{}
	for _, j := range a.Jobs {
		tenants[j.Tenant] = true
	}
	for _, j := range a.Queued {
		tenants[j.Tenant] = true
	}
	for tenant := range tenants {
		all = append(all, queue.Target{Scope: queue.ScopeTenant, Name: tenant})
	}
	return all
}

// dailyPrompts is how many prompts of an account the pods allow within a day, 0: any number.
func dailyPrompts(pods []worker.PodState) (most int) {
	for _, p := range pods {
		n := 0
		_, _ = fmt.Sscan(p.Settings["daily-prompts"], &n) // an older pod may not tell
		most = max(most, min(n, 100))
	}
	return most
}

// search looks for the account's jobs in the queue.
func (s *Sources) search(ctx context.Context, a *Account, lanes []queue.LaneState) error {
	inHand := map[string]bool{}
	for _, j := range a.Jobs {
		inHand[j.JobID] = true
	}
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	for _, lane := range lanes {
		ahead := 0
		for j, err := range s.Jobs.All(ctx, lane.Lane) {
			if errors.Is(err, context.DeadlineExceeded) {
				a.Partial = fmt.Sprintf("the queue is so long that only a part of lane %s was searched", lane.Lane)
				return nil
			}
			if err != nil {
				return err
			}
			if j.Job.WcID == a.WcID && !inHand[j.Job.ID] && len(a.Queued) < shownQueued {
				q := QueuedJob{
					JobID: j.Job.ID, Tenant: j.Job.Tenant, Lane: j.Lane, Sequence: j.Sequence, StoredAt: j.StoredAt, Deadline: j.Job.Deadline,
					Ahead: ahead, HandedBack: j.Sequence <= lane.Delivered,
				}
				if j.Invalid != nil {
					q.Invalid = j.Invalid.Error()
				}
				a.Queued = append(a.Queued, q)
			}
			if j.Sequence > lane.Delivered {
				ahead++
			}
		}
	}
	return nil
}

// reasons are what a job waits for, as people say it, and what helps.
var reasons = map[worker.Reason]struct{ text, do string }{
	worker.WaitsForSlot:       {"waits for a slot: the pod, or its tenant's share, has as many confirmations open as it may", "add pods, or raise --concurrency"},
	worker.WaitsForRate:       {"waits for its tenant's turn under --gateway-rate", ""},
	worker.WaitsForResume:     {"is paused", "relogin pause --list"},
	worker.WaitsForCredential: {"waits since the gateway refuses its tenant's credential", "replace the credential"},
	worker.WaitsForGateway:    {"waits since calls to the gateway fail", "see that the gateway works; relogin status has its last error"},
	worker.WaitsForStore:      {"waits since Redis does not answer", "see that Redis works"},
	worker.WaitsForLocks:      {"waits since Redis may have lost locks", "it ends by itself"},
	worker.WaitsForNATS:       {"waits since NATS does not answer, or stores nothing", "see that NATS works and its streams are not full"},
}

// judge says why nothing happens, or what does.
func (a *Account) judge() Verdict {
	now := a.Redis.Now
	left := func(t time.Time) Phrase { return phrase("at most %s more", t.Sub(now).Round(time.Second)) }
	asking := slices.IndexFunc(a.Jobs, func(j PodJob) bool { return j.Doing == worker.Asking })
	waiting := slices.IndexFunc(a.Jobs, func(j PodJob) bool { return j.Doing == worker.Waiting && j.Reason != worker.WaitsForAccount })
	lock := a.Redis.Lock
	switch {
	case asking >= 0:
		j := a.Jobs[asking]
		return say(Well, "The phone is asking since %s, for job %s in pod %s: somebody has to tap it, %s.",
			clock(j.Since), j.JobID, j.Pod, left(j.Until))
	case lock != nil && !slices.ContainsFunc(a.pods, func(p worker.PodState) bool { return p.Pod == lock.Pod }):
		return say(Look, "Job %s of pod %s, which does not answer, holds the account: its prompt may still be open, for %s.", lock.JobID, lock.Pod, left(lock.Until)).to("wait: nothing else is safe")
	case lock != nil && len(a.Jobs)+len(a.Queued) > 0:
		return say(Look, "The answer to job %s of pod %s got lost: its prompt may still be open, for %s.", lock.JobID, lock.Pod, left(lock.Until)).to("wait: nothing else is safe")
	case waiting >= 0:
		j := a.Jobs[waiting]
		return say(Trouble, "Job %s %s.", j.JobID, phrase(reasons[j.Reason].text)).to(reasons[j.Reason].do)
	case len(a.Jobs) > 0:
		return say(Well, "Pod %s is at work on job %s.", a.Jobs[0].Pod, a.Jobs[0].JobID)
	case len(a.Queued) > 0:
		return a.judgeQueued()
	case a.Redis.Cooling != nil:
		return say(Look, "No job waits. A new one would end as throttled, for %s: %s.", left(a.Redis.Cooling.Until), a.Redis.Cooling.Reason)
	case len(a.Events) > 0:
		e := a.Events[len(a.Events)-1]
		return say(Well, "No job waits. The last one, %s, ended as %s at %s.", e.JobID, e.Outcome, clock(e.FinishedAt))
	}
	return say(Well, "Nothing is known of this account: no job waits, and no event is left.")
}

func (a *Account) judgeQueued() Verdict {
	j := a.Queued[0]
	switch {
	case len(a.pods) == 0:
		return say(Trouble, "Job %s is in the queue, and no worker runs.", j.JobID).to("start one: relogin worker")
	case len(a.Pauses) > 0:
		return say(Trouble, "Job %s is in the queue, and %s is paused%s.", j.JobID, a.Pauses[0].Target, since(a.Pauses[0])).to("relogin pause --list")
	case j.HandedBack:
		return say(Look, "Job %s was handed back by a pod, or its pod died: it comes back after a while.", j.JobID)
	}
	return say(Look, "Job %s is in lane %s, behind about %d others.", j.JobID, j.Lane, j.Ahead).to("if that is too many: add pods")
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
