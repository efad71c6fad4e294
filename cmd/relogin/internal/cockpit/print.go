package cockpit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker"
)

// text collects lines for people, whatever is in the names that are put into them.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = terminal.Sentence(s)
		}
	}
	fmt.Fprintf(t, format+"\n", args...)
}

// table prints rows in columns, below a title, if there are any.
func (t *text) table(title string, rows [][]any) {
	if len(rows) == 0 {
		return
	}
	t.line("\n%s", title)
	w := tabwriter.NewWriter(t, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for _, cell := range row {
			fmt.Fprintf(w, "  %s", terminal.Sentence(fmt.Sprint(cell)))
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
}

func (t *text) verdict(v Verdict) {
	t.line("%s", v.Text)
	if v.Do != "" {
		t.line("→ %s", v.Do)
	}
}

// ago is how long before that time it was, in the two largest units.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return now.Sub(t).Truncate(time.Second).String()
}

const shownConfirmations = 10

// Print prints the overview.
func (o *Overview) Print(to *output.Printer) error {
	var t text
	t.verdict(o.Verdict)
	var lanes, pods, open, troubles [][]any
	for _, l := range o.Lanes {
		lanes = append(lanes, []any{l.Lane, fmt.Sprintf("%d jobs", l.Jobs), fmt.Sprintf("%d queued", l.Queued), fmt.Sprintf("%d taken", l.Taken), "oldest " + ago(o.At, l.Oldest)})
	}
	t.table("Lanes", lanes)
	for _, p := range o.Pods {
		waiting := 0
		for _, n := range p.Waiting {
			waiting += n
		}
		state := "works"
		if p.Stopping {
			state = "stops"
		} else if len(p.Trouble) > 0 {
			state = strings.Join(p.Trouble, "; ")
		}
		pods = append(pods, []any{p.Pod, p.Version, "up " + ago(o.At, p.StartedAt), fmt.Sprintf("%d of %d asking", p.Open, p.Concurrency), fmt.Sprintf("%d waiting", waiting), state})
		for _, c := range p.Confirmations {
			open = append(open, []any{c.WcID, c.JobID, c.Tenant, "asking for " + ago(o.At, c.Since), p.Pod, c.Since})
		}
		for _, g := range p.Gateways {
			if g.Open {
				troubles = append(troubles, []any{"gateway " + g.Address, "fails, seen by " + p.Pod, g.LastError})
			}
		}
		for _, r := range p.Refused {
			troubles = append(troubles, []any{"tenant " + r.Tenant, "its credential is refused, seen by " + p.Pod, "since " + terminal.Clock(r.Since) + ": " + r.Error})
		}
		if p.Quarantine > 0 {
			troubles = append(troubles, []any{"pod " + p.Pod, "Redis may have lost locks", fmt.Sprintf("for %.0f s more", p.Quarantine)})
		}
	}
	t.table("Pods", pods)
	var waits [][]any
	for _, reason := range slices.Sorted(maps.Keys(o.Waiting)) {
		waits = append(waits, []any{reason, o.Waiting[reason]})
	}
	t.table("Jobs that wait in pods, by what they wait for", waits)
	slices.SortFunc(open, func(a, b []any) int { return a[5].(time.Time).Compare(b[5].(time.Time)) })
	for i := range open {
		open[i] = open[i][:5]
	}
	t.table(fmt.Sprintf("Phones that ask, the longest first (%d)", o.Open), open[:min(len(open), shownConfirmations)])
	if len(o.Outcomes) > 0 {
		t.line("\nEnded in the last %d minutes: %s", o.Minutes, output.Counts(o.Outcomes))
	}
	t.table("Trouble", troubles)
	var pauses [][]any
	for _, p := range o.Pauses {
		pauses = append(pauses, []any{p.Target.String(), strings.TrimPrefix(since(p).String(), " ")})
	}
	t.table("Paused", pauses[:min(len(pauses), shownConfirmations)])
	if o.Accounts > shownConfirmations {
		t.line("\nPaused accounts: %d (relogin pause --list)", o.Accounts)
	}
	if o.DeadLetters > 0 {
		t.line("\nDead letters: %d (relogin dead list)", o.DeadLetters)
	}
	return to.Print(o, "%s", t.String())
}

// Print prints what is known of the account, and of one of its jobs unless that is nil.
func (a *Account) Print(to *output.Printer, j *Job) error {
	var t text
	if j != nil {
		t.verdict(j.Verdict)
		t.line("")
	}
	t.verdict(a.Verdict)
	now := a.Redis.Now
	if l := a.Redis.Lock; l != nil {
		t.table("Held by", [][]any{{"job " + l.JobID, "pod " + l.Pod, "for at most " + l.Until.Sub(now).Round(time.Second).String()}})
	}
	if c := a.Redis.Cooling; c != nil {
		t.table("Cooling down", [][]any{{c.Reason, "for " + c.Until.Sub(now).Round(time.Second).String()}})
	}
	var jobs, queued, pauses, events [][]any
	for _, one := range a.Jobs {
		what := string(one.Doing)
		if one.Doing == worker.Waiting {
			what += " (" + string(one.Reason) + ")"
		}
		behind := ""
		if one.Behind != "" {
			behind = "behind " + one.Behind
		}
		jobs = append(jobs, []any{one.JobID, "tenant " + one.Tenant, "pod " + one.Pod, what, "for " + ago(a.At, one.Since), behind})
	}
	t.table("In pods", jobs)
	for _, one := range a.Queued {
		how := fmt.Sprintf("behind about %d", one.Ahead)
		if one.HandedBack {
			how = "comes back after a while"
		}
		queued = append(queued, []any{one.JobID, "tenant " + one.Tenant, one.Lane, how, "stored " + terminal.Clock(one.StoredAt), one.Invalid})
	}
	t.table("In the queue", queued)
	for _, p := range a.Pauses {
		pauses = append(pauses, []any{p.Target.String(), strings.TrimPrefix(since(p).String(), " ")})
	}
	t.table("Paused", pauses)
	for _, e := range a.Events {
		prompted := ""
		if e.Prompted {
			prompted = "asked the phone"
		}
		events = append(events, []any{terminal.Clock(e.FinishedAt), e.Outcome, e.JobID, prompted, strings.TrimSpace(output.Notes(e))})
	}
	t.table("Last events", events)
	if a.Partial != "" {
		t.line("\nNot all was looked at: %s.", a.Partial)
	}
	return to.Print(struct {
		*Account
		Job *Job `json:"job,omitempty"`
	}{a, j}, "%s", t.String())
}
