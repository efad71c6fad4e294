package cancel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/queue"
)

// Settings say which jobs are cancelled. They are flags alone.
type Settings struct {
	all, dryRun     bool
	account, tenant string
	label           string
	wcID, jobID     string // that were named
	Output          output.Format
}

// Declare implements [settings.Group].
func (s *Settings) Declare(to *settings.Settings) {
	to.Section("Jobs")
	to.AddFlag("all", settings.Bool(&s.all), "false", "all jobs that fit the flags below, instead of one")
	to.AddFlag("account", settings.Text(&s.account), "", "with --all: those for this wcId")
	to.AddFlag("tenant", settings.Text(&s.tenant), "", "with --all: this tenant's")
	to.AddFlag("label", settings.Text(&s.label), "", "with --all: those with this label, as key=value")
	to.AddFlag("dry-run", settings.Bool(&s.dryRun), "false", "only tell which and how many they are")
	output.Declare(to, &s.Output)
}

// CheckArguments returns what is wrong with the arguments of the command line, and whether it is
// not clear which jobs are meant.
func (s *Settings) CheckArguments(args []string) error {
	chosen := s.account != "" || s.tenant != "" || s.label != ""
	switch {
	case s.all && len(args) > 0:
		return errors.New("want either one job, by wcId and job id, or --all")
	case s.all && !chosen:
		return errors.New("all of what? Add --account, --tenant or --label")
	case !s.all && chosen:
		return errors.New("--account, --tenant and --label choose jobs of --all: add that")
	case !s.all && (len(args) != 2 || args[0] == "" || args[1] == ""):
		return errors.New("want an account and a job, by wcId and job id")
	case s.label != "" && !strings.Contains(s.label, "="):
		return errors.New("--label: want key=value")
	case !s.all:
		s.wcID, s.jobID = args[0], args[1]
	}
	return nil
}

func (s *Settings) fits(j *queue.StoredJob) bool {
	if !s.all {
		return j.Job.WcID == s.wcID && j.Job.ID == s.jobID
	}
	key, value, labelled := strings.Cut(s.label, "=")
	label, has := j.Job.Labels[key]
	return (s.account == "" || j.Job.WcID == s.account) && (s.tenant == "" || j.Job.Tenant == s.tenant) && (!labelled || has && label == value)
}

// describe says which jobs are meant, for the audit.
func (s *Settings) describe() string {
	if !s.all {
		return fmt.Sprintf("job %s of account %s", s.jobID, s.wcID)
	}
	text := "all jobs"
	for _, one := range [][2]string{{"account", s.account}, {"tenant", s.tenant}, {"label", s.label}} {
		if one[1] != "" {
			text += fmt.Sprintf(" of %s %s", one[0], one[1])
		}
	}
	return text
}
