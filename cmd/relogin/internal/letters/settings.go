package letters

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// Settings say which dead letters are meant, and what is done with them. They are flags alone.
type Settings struct {
	Command string    // list, show, replay or drop
	Stdin   io.Reader // is asked whether letters may be dropped

	queue.DeadLetterFilter
	Each   bool // of list
	All    bool // of replay and drop, as what follows
	DryRun bool
	Yes    bool
	Output output.Format

	sequences []uint64 // that were named
}

// Declare implements [settings.Group].
func (s *Settings) Declare(to *settings.Settings) {
	if s.Command != "show" {
		to.Section("Dead letters")
		to.AddFlag("reason", settings.Text(&s.Reason), "", "only those whose reason has this in it, in upper or lower case")
		to.AddFlag("lane", settings.Choice(&s.Lane, job.Urgent, job.Normal), "", "only jobs of this lane")
		to.AddFlag("tenant", settings.Text(&s.Tenant), "", "only this tenant's")
		to.AddFlag("account", settings.Text(&s.WcID), "", "only this wcId's")
		to.AddFlag("job", settings.Text(&s.JobID), "", "only the job of this id")
		to.AddFlag("since", settings.Time(&s.Since, -1), "", "only those that died then or later: so long ago, such as 1h, or a time, such as 2026-01-31T15:04:05Z")
		to.AddFlag("before", settings.Time(&s.Before, -1), "", "only those that died before then: so long ago, or a time")
	}
	switch s.Command {
	case "list":
		to.AddFlag("each", settings.Bool(&s.Each), "false", "list each letter instead of grouping them by reason")
	case "replay", "drop":
		to.AddFlag("all", settings.Bool(&s.All), "false", "all of them, where no flag and no sequence says which")
		to.AddFlag("dry-run", settings.Bool(&s.DryRun), "false", "only tell which and how many they are")
	}
	if s.Command == "drop" {
		to.AddFlag("yes", settings.Bool(&s.Yes), "false", "do not ask")
	}
	output.Declare(to, &s.Output)
}

// CheckArguments returns what is wrong with the arguments of the command line, which are
// sequences of letters, and whether it is not clear which letters are meant.
func (s *Settings) CheckArguments(args []string) error {
	for _, arg := range args {
		sequence, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no sequence: want a number, as relogin dead list --each shows it", terminal.Printable(arg))
		}
		s.sequences = append(s.sequences, sequence)
	}
	chosen := s.All || s.DeadLetterFilter != (queue.DeadLetterFilter{})
	switch {
	case s.Command == "list":
		return settings.NoArguments(nil, args)
	case s.Command == "show" && len(args) != 1:
		return errors.New("want one sequence, as relogin dead list --each shows it")
	case s.Command == "show":
		return nil
	case len(args) == 0 && !chosen:
		return errors.New("which of them? Name their sequences, or choose them by a flag; --all takes all")
	case len(args) > 0 && chosen:
		return errors.New("want either sequences or flags that choose letters, not both")
	case s.Command == "drop" && !s.Yes && !s.DryRun && !terminal.IsTerminal(s.Stdin):
		return errors.New("dropping is for good: add --yes, or --dry-run to see what it would be")
	}
	return nil
}

// describe says which dead letters are meant, for the audit.
func (s *Settings) describe() string {
	if len(s.sequences) > 0 {
		const most = 50
		text := strings.Trim(fmt.Sprint(s.sequences[:min(len(s.sequences), most)]), "[]")
		return fmt.Sprintf("%d dead letters: %s", len(s.sequences), text)
	}
	return DescribeFilter(s.DeadLetterFilter)
}

// DescribeFilter says which dead letters the filter chooses, for the audit.
func DescribeFilter(f queue.DeadLetterFilter) string {
	if f == (queue.DeadLetterFilter{}) {
		return "all dead letters"
	}
	text := "dead letters with"
	for _, one := range []struct{ name, value string }{
		{"reason", f.Reason}, {"lane", string(f.Lane)}, {"tenant", f.Tenant}, {"account", f.WcID}, {"job", f.JobID},
	} {
		if one.value != "" {
			text += fmt.Sprintf(" %s %q", one.name, one.value)
		}
	}
	if !f.Since.IsZero() {
		text += " since " + f.Since.UTC().Format(time.RFC3339)
	}
	if !f.Before.IsZero() {
		text += " before " + f.Before.UTC().Format(time.RFC3339)
	}
	return text
}
