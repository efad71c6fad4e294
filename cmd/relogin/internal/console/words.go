package console

import (
	"slices"
	"strconv"

	"github.com/relogin/relogin/cmd/relogin/internal/cockpit"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// words are what pages call what has a name of its own elsewhere.
var words = map[string]string{
	"reason account": "another confirmation of its account", "reason slot": "a slot", "reason rate": "its tenant's turn under --gateway-rate",
	"reason paused": "somebody to resume it", "reason credential": "a credential that the gateway takes", "reason gateway": "a gateway that works",
	"reason redis": "Redis to answer", "reason quarantine": "Redis may have lost locks", "reason nats": "NATS to answer",
	"doing working": "is worked on", "doing asking": "its phone asks", "doing waiting": "waits",
	"level ok": "OK", "level warning": "Warning", "level problem": "Problem",
	"trouble pod": "Pod", "trouble gateway": "Calls fail to gateway", "trouble tenant": "The gateway refuses the credential of tenant",
	"trouble quarantine": "Redis may have lost locks, for pod",
}

// word returns the word for one of a kind, and the name itself where there is none.
func (s *sheet) word(kind, name string) string {
	if text, ok := words[kind+" "+name]; ok {
		return s.T(text)
	}
	return s.Clip(name)
}

// Word returns a name of relogin's own in the reader's language.
func (s *sheet) Word(name any) string { return s.T(s.Clip(name)) }

// Reason returns what a job waits for.
func (s *sheet) Reason(r worker.Reason) string { return s.word("reason", string(r)) }

// Doing returns what is done with a job.
func (s *sheet) Doing(d worker.Doing) string { return s.word("doing", string(d)) }

// Trouble returns what is wrong, before a name.
func (s *sheet) Trouble(kind string) string { return s.word("trouble", kind) }

// Outcome returns the outcome in the reader's language.
func (s *sheet) Outcome(o job.Outcome) string { return s.Word(o) }

// Action returns what a person did.
func (s *sheet) Action(a queue.Action) string { return s.Word(a) }

// Target returns what is paused.
func (s *sheet) Target(t any) string {
	var target queue.Target
	switch t := t.(type) {
	case queue.Target:
		target = t
	case *queue.Target:
		target = *t
	}
	switch target.Scope {
	case queue.ScopeAll:
		return s.T("everything")
	case queue.ScopeLane:
		return s.T("lane %s", s.Word(target.Name))
	case queue.ScopeTenant:
		return s.T("tenant %s", s.Clip(target.Name))
	case queue.ScopeAccount:
		return s.T("account %s", s.Clip(target.Name))
	}
	return s.Clip(target)
}

// spoken is a verdict in the reader's language.
type spoken struct{ Level, Word, Text, Do string }

// Verdict returns the verdict in the reader's language.
func (s *sheet) Verdict(v cockpit.Verdict) spoken {
	text := v.Text
	if s.IsChinese() {
		text = s.phrase(v.Said)
	}
	return spoken{string(v.Level), s.word("level", string(v.Level)), cut(text, maxSentence), s.Word(v.Do)}
}

const maxSentence = 1000 // bytes

// phrase says what cockpit says in the reader's language.
func (s *sheet) phrase(p cockpit.Phrase) string {
	args := make([]any, len(p.Args))
	for i, arg := range p.Args {
		switch arg := arg.(type) {
		case cockpit.Phrase:
			args[i] = s.phrase(arg)
		case cockpit.Phrases:
			text := ""
			for _, one := range arg {
				text += s.phrase(one)
			}
			args[i] = text
		case queue.Target:
			args[i] = s.Target(arg)
		case job.Outcome, job.Lane:
			args[i] = s.Word(arg)
		default:
			args[i] = arg
		}
	}
	return s.T(p.Format, args...)
}

// link is one of the navigation.
type link struct {
	Path, Text string
	Here       bool
}

// Nav returns a link of the navigation.
func (s *sheet) Nav(section, path, text string) link {
	here := s.Section == section || section == "dead" && (s.Section == "letter" || s.Section == "preview")
	return link{path, s.T(text), here}
}

// pausesPart is what the template pauses shows.
type pausesPart struct {
	*sheet
	Pauses []*queue.Pause
}

// With returns pauses for their template.
func (s *sheet) With(all []*queue.Pause) pausesPart {
	return pausesPart{s, all[:min(len(all), maxRows)]}
}

// Some returns the first troubles.
func (*sheet) Some(all []trouble) []trouble { return all[:min(len(all), maxRows)] }

// Pods returns those that the table shows: those that are not well first.
func (*sheet) Pods(all []worker.PodState) []worker.PodState {
	unwell := func(p worker.PodState) bool { return p.Stopping || len(p.Trouble) > 0 }
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b worker.PodState) int {
		switch {
		case unwell(a) == unwell(b):
			return 0
		case unwell(a):
			return -1
		}
		return 1
	})
	return sorted[:min(len(sorted), maxRows)]
}

// Sum returns how many jobs wait.
func (*sheet) Sum(waiting map[worker.Reason]int) (sum int) {
	for _, n := range waiting {
		sum += n
	}
	return sum
}

// Every tells which bars have their time below: each third, and the last.
func (*sheet) Every(i int) bool { return i%3 == (chartMinutes-1)%3 }

// Least returns how many accounts there are; no more than a thousand are told apart.
func (s *sheet) Least(accounts int) string {
	if accounts < 1000 {
		return strconv.Itoa(accounts)
	}
	return "≥ " + s.N(accounts)
}

// Lanes returns the lanes.
func (*sheet) Lanes() []job.Lane { return []job.Lane{job.Urgent, job.Normal} }

// Middle is where the text below a bar is.
func (b bar) Middle() int { return b.X + barWidth/2 }
