package cockpit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// Overview is how a namespace stands. Its names in JSON do not change.
type Overview struct {
	At          time.Time             `json:"at"`
	Namespace   string                `json:"namespace"`
	Verdict     Verdict               `json:"verdict"`
	Lanes       []queue.LaneState     `json:"lanes"`
	Pods        []worker.PodState     `json:"pods"` // by name
	Open        int                   `json:"open"` // confirmations, of all pods
	Waiting     map[worker.Reason]int `json:"waiting"`
	Outcomes    map[job.Outcome]int   `json:"outcomes"`       // of the last minutes, of the pods that run
	Minutes     int                   `json:"minutes"`        // how many these are
	Pauses      []*queue.Pause        `json:"pauses"`         // where accounts are many, without theirs
	Accounts    int                   `json:"pausedAccounts"` // how many accounts are paused
	DeadLetters uint64                `json:"deadLetters"`
	Differences []Difference          `json:"differences,omitempty"` // between the settings of pods
}

// Difference is a setting in which pods differ.
type Difference struct {
	Setting string              `json:"setting"`
	Values  map[string][]string `json:"values"` // the pods that have each value
}

// mostPauses is how many paused accounts are read.
const mostPauses = 1000

// minutes are those that pods tell of, the one that has begun included.
const minutes = 15

// Overview returns how the namespace stands now. It blocks until servers and pods have answered,
// for a few seconds at most.
func (s *Sources) Overview(ctx context.Context) (*Overview, error) {
	o := &Overview{At: time.Now().UTC(), Namespace: s.Namespace, Waiting: map[worker.Reason]int{}, Outcomes: map[job.Outcome]int{}, Minutes: minutes}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { o.Lanes, err = s.Jobs.Lanes(ctx); return err })
	group.Go(func() (err error) {
		if o.Pods, err = queue.AskPods[worker.PodState](ctx, s.NATS, s.Namespace); err != nil {
			return err
		}
		for _, p := range o.Pods {
			o.Accounts = max(o.Accounts, p.Pauses[string(queue.ScopeAccount)])
		}
		var scopes []queue.Scope // all
		if o.Accounts > mostPauses {
			scopes = []queue.Scope{queue.ScopeAll, queue.ScopeLane, queue.ScopeTenant}
		}
		o.Pauses, err = s.Control.Pauses(ctx, scopes...)
		return err
	})
	group.Go(func() (err error) { o.DeadLetters, err = s.Letters.Count(ctx); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(o.Pods, func(a, b worker.PodState) int {
		return cmp.Or(cmp.Compare(a.Pod, b.Pod), a.StartedAt.Compare(b.StartedAt))
	})
	for _, p := range o.Pods {
		o.Open += p.Open
		for reason, n := range p.Waiting {
			o.Waiting[reason] += n
		}
		for _, m := range p.Minutes {
			for outcome, n := range m.Outcomes {
				o.Outcomes[outcome] += n
			}
		}
	}
	o.Differences = differences(o.Pods)
	o.Verdict = o.judge()
	return o, nil
}

func differences(pods []worker.PodState) (all []Difference) {
	values := map[string]map[string][]string{}
	for _, p := range pods {
		for name, value := range p.Settings {
			if values[name] == nil {
				values[name] = map[string][]string{}
			}
			values[name][value] = append(values[name][value], p.Pod)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 {
			all = append(all, Difference{name, values[name]})
		}
	}
	return all
}

// judge says what it means: the first that fits is what to look at first.
func (o *Overview) judge() Verdict {
	backlog := uint64(0)
	for _, l := range o.Lanes {
		backlog += l.Jobs
	}
	working := slices.DeleteFunc(slices.Clone(o.Pods), func(p worker.PodState) bool { return p.Stopping })
	slots := 0
	for _, p := range working {
		slots += p.Concurrency
	}
	everything := slices.IndexFunc(o.Pauses, func(p *queue.Pause) bool { return p.Scope == queue.ScopeAll })
	blocked := slices.DeleteFunc(slices.Clone(working), func(p worker.PodState) bool { return len(p.Trouble) == 0 })
	switch {
	case len(working) == 0:
		return say(Trouble, "No worker answers. Jobs in the queue: %d.", backlog).to("start one: relogin worker; where one runs, see its log")
	case everything >= 0:
		return say(Trouble, "Everything is paused%s: no phone asks.", since(o.Pauses[everything])).to("relogin resume")
	case len(blocked) == len(working):
		return say(Trouble, "No pod starts a confirmation: %s.", blocked[0].Trouble[0]).to("see the runbook: docs/operations.md")
	case len(blocked) > 0:
		return say(Look, "%d of the %d pods can't start a confirmation: %s: %s.", len(blocked), len(working), blocked[0].Pod, blocked[0].Trouble[0]).to("see the runbook: docs/operations.md")
	case len(o.Pauses) > 0:
		p := o.Pauses[0]
		return say(Look, "%s is paused%s%s.", p.Target, since(p), more(len(o.Pauses)-1)).to("relogin pause --list")
	case len(o.refused()) > 0:
		names := o.refused()
		return say(Look, "The gateway refuses the credential of %s%s.", strings.Join(names[:min(len(names), 3)], ", "), more(len(names)-3)).to("replace it")
	case o.Open >= slots*9/10 && backlog > uint64(o.Open):
		return say(Look, "Nearly all of the %d slots are in use: more jobs come than people answer, and those that cannot ask yet are %d.", slots, backlog-uint64(o.Open)).to("add pods, or raise --concurrency")
	case len(o.Differences) > 0:
		return say(Look, "Pods differ in --%s%s.", o.Differences[0].Setting, more(len(o.Differences)-1)).to("give all pods the same settings")
	case backlog == 0:
		return say(Well, "All is well, and there is nothing to do. Pods: %d.", len(working))
	}
	return say(Well, "All is well. Pods: %d; phones that ask now: %d.", len(working), o.Open)
}

// refused are the tenants whose credential the gateway refuses.
func (o *Overview) refused() []string {
	names := map[string]bool{}
	for _, p := range o.Pods {
		for _, r := range p.Refused {
			names[r.Tenant] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func since(p *queue.Pause) (all Phrases) {
	if !p.At.IsZero() {
		all = append(all, phrase(" since %s", clock(p.At)))
	}
	if p.By != "" {
		all = append(all, phrase(", by %s", p.By))
	}
	if p.Reason != "" {
		all = append(all, phrase(" (%s)", p.Reason))
	}
	return all
}

func more(n int) Phrases {
	if n < 1 {
		return nil
	}
	return Phrases{phrase(" and %d more", n)}
}
