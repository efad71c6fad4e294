package cockpit

import (
	"cmp"
	"context"
	"fmt"
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
		return Verdict{Trouble, "No worker runs, and the queue holds " + number(backlog, "job") + ".", "start one: relogin worker"}
	case everything >= 0:
		return Verdict{Trouble, "Everything is paused" + since(o.Pauses[everything]) + ": no phone asks.", "relogin resume"}
	case len(blocked) == len(working):
		return Verdict{Trouble, "No pod starts a confirmation: " + blocked[0].Trouble[0] + ".", "see the runbook: docs/operations.md"}
	case len(blocked) > 0:
		return Verdict{Look, fmt.Sprintf("%d of %s can't start a confirmation: %s: %s.", len(blocked), number(len(working), "pod"), blocked[0].Pod, blocked[0].Trouble[0]), "see the runbook: docs/operations.md"}
	case len(o.Pauses) > 0:
		p := o.Pauses[0]
		return Verdict{Look, fmt.Sprintf("%s is paused%s%s.", capital(p.Target.String()), since(p), more(len(o.Pauses)-1)), "relogin pause --list"}
	case len(o.refused()) > 0:
		names := o.refused()
		return Verdict{Look, "The gateway refuses the credential of " + strings.Join(names[:min(len(names), 3)], ", ") + more(len(names)-3) + ".", "replace it"}
	case o.Open >= slots*9/10 && backlog > uint64(o.Open):
		return Verdict{Look, fmt.Sprintf("Nearly all of %s are in use, and %s cannot ask yet: more come than people answer.", number(slots, "slot"), number(backlog-uint64(o.Open), "job")), "add pods, or raise --concurrency"}
	case len(o.Differences) > 0:
		return Verdict{Look, "Pods differ in --" + o.Differences[0].Setting + more(len(o.Differences)-1) + ".", "give all pods the same settings"}
	case backlog == 0:
		return Verdict{Well, "All is well: " + number(len(working), "pod") + ", and nothing to do.", ""}
	}
	return Verdict{Well, "All is well: " + number(len(working), "pod") + ", " + number(o.Open, "phone") + " asking now.", ""}
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

func since(p *queue.Pause) string {
	text := ""
	if !p.At.IsZero() {
		text = " since " + p.At.UTC().Format(time.RFC3339)
	}
	if p.By != "" {
		text += ", by " + p.By
	}
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

func more(n int) string {
	if n < 1 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

// number is such as 1 job, or 2 jobs.
func number[N int | uint64](n N, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
