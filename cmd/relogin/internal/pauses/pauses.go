// Package pauses is what relogin pause and relogin resume do.
package pauses

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// Settings say what is paused or resumed. They are flags alone.
type Settings struct {
	Resume bool // it is relogin resume

	lane            job.Lane
	tenant, account string
	duration        time.Duration // 0: for ever
	list, all       bool
	Output          output.Format
}

// Declare implements [settings.Group].
func (s *Settings) Declare(to *settings.Settings) {
	to.Section("What")
	to.AddFlag("lane", settings.Choice(&s.lane, job.Urgent, job.Normal), "", "the jobs of this lane, instead of everything")
	to.AddFlag("tenant", settings.Text(&s.tenant), "", "this tenant's jobs")
	to.AddFlag("account", settings.Text(&s.account), "", "the jobs for this wcId, whichever tenant sends them")
	if s.Resume {
		to.AddFlag("all", settings.Bool(&s.all), "false", "lift every pause that there is")
	} else {
		to.AddFlag("for", settings.Duration(&s.duration, time.Second, 365*settings.Day), "", "how long, such as 30m; until somebody resumes it unless set")
		to.AddFlag("list", settings.Bool(&s.list), "false", "pause nothing: list what is paused, and what people did before")
	}
	output.Declare(to, &s.Output)
}

// Check implements [settings.Checker].
func (s *Settings) Check(to *settings.Settings) {
	chosen := 0
	for _, set := range []bool{s.lane != "", s.tenant != "", s.account != "", s.all, s.list} {
		if set {
			chosen++
		}
	}
	to.Require(chosen <= 1, "want one of them: each pause is about one thing", "lane", "tenant", "account")
}

func (s *Settings) target() queue.Target {
	switch {
	case s.lane != "":
		return queue.Target{Scope: queue.ScopeLane, Name: string(s.lane)}
	case s.tenant != "":
		return queue.Target{Scope: queue.ScopeTenant, Name: s.tenant}
	case s.account != "":
		return queue.Target{Scope: queue.ScopeAccount, Name: s.account}
	}
	return queue.Target{Scope: queue.ScopeAll}
}

// Options are what [Run] needs.
type Options struct {
	*Settings
	Who     *audit.Who
	Control *queue.Control
	Audit   *queue.Audit
	Printer *output.Printer
}

// Run does what the settings say. It blocks until the server has stored it.
func Run(ctx context.Context, o Options) error {
	switch {
	case o.list:
		return o.showAll(ctx)
	case o.all:
		return o.resumeAll(ctx)
	case o.Resume:
		return o.resume(ctx)
	}
	return o.pause(ctx)
}

func (o Options) pause(ctx context.Context) error {
	p := queue.Pause{Target: o.target(), By: o.Who.By, Reason: o.Who.Reason, At: time.Now().UTC()}
	end := "until it is resumed"
	if o.duration > 0 {
		p.Until = p.At.Add(o.duration)
		end = "until " + terminal.Clock(p.Until)
	}
	if err := o.Control.Pause(ctx, p); err != nil {
		return err
	}
	return o.Printer.Print(p, "paused: %s, %s. No phone of these jobs asks; confirmations that are open finish.\nTo resume: relogin resume%s\n",
		name(p.Target), end, flag(p.Target))
}

func (o Options) resume(ctx context.Context) error {
	t := o.target()
	p, err := o.Control.Resume(ctx, t, o.Who.By, o.Who.Reason)
	if errors.Is(err, queue.ErrNotPaused) {
		return fmt.Errorf("%w: relogin pause --list shows what is", err)
	}
	if err != nil {
		return err
	}
	if err := o.Printer.Print(p, "resumed: %s, after %s\n", name(t), time.Since(p.At).Round(time.Second)); err != nil || o.Printer.JSON() {
		return err
	}
	rest, err := o.Control.Pauses(ctx)
	if len(rest) > 0 && err == nil {
		err = o.Printer.Print(nil, "Paused still: %d, see relogin pause --list\n", len(rest))
	}
	return err
}

func (o Options) resumeAll(ctx context.Context) error {
	all, err := o.Control.Pauses(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		_, err := o.Control.Resume(ctx, p.Target, o.Who.By, o.Who.Reason)
		if errors.Is(err, queue.ErrNotPaused) {
			continue // somebody was faster, or it is an entry that can't be read
		}
		if err == nil {
			err = o.Printer.Print(p, "resumed: %s\n", name(p.Target))
		}
		if err != nil {
			return err
		}
	}
	rest, err := o.Control.Pauses(ctx)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return fmt.Errorf("%d pauses are left, such as that of %s%s: see relogin pause --list", len(rest), rest[0].Target, by(rest[0].By, rest[0].Reason))
	case len(all) == 0 && !o.Printer.JSON():
		return o.Printer.Print(nil, "Nothing is paused.\n")
	}
	return nil
}

// history is how many entries of the audit are listed.
const history = 50

func (o Options) showAll(ctx context.Context) error {
	all, err := o.Control.Pauses(ctx)
	if err != nil {
		return err
	}
	past, err := o.Audit.Last(ctx, history)
	if err != nil {
		return err
	}
	if len(all) == 0 && !o.Printer.JSON() {
		if err := o.Printer.Print(nil, "Nothing is paused.\n"); err != nil {
			return err
		}
	}
	for _, p := range all {
		end := ""
		if !p.Until.IsZero() {
			end = " until " + terminal.Clock(p.Until)
		}
		if err := o.Printer.Print(p, "paused since %s%s: %s%s\n", terminal.Clock(p.At), end, name(p.Target), by(p.By, p.Reason)); err != nil {
			return err
		}
	}
	if len(past) > 0 && !o.Printer.JSON() {
		if err := o.Printer.Print(nil, "\nHistory\n"); err != nil {
			return err
		}
	}
	for _, e := range past {
		what := terminal.Sentence(e.What)
		if e.What == "" && e.Target != nil {
			what = name(*e.Target)
		}
		if !e.Until.IsZero() {
			what += " until " + terminal.Clock(e.Until)
		}
		if err := o.Printer.Print(e, "%s  %-7s %s%s\n", terminal.Clock(e.At), e.Action, what, by(e.By, e.Reason)); err != nil {
			return err
		}
	}
	return nil
}

func name(t queue.Target) string { return terminal.Sentence(t.String()) }

func by(who, reason string) string {
	text := ""
	if who != "" {
		text = ", by " + terminal.Sentence(who)
	}
	if reason != "" {
		text += ": " + terminal.Sentence(reason)
	}
	return text
}

// flag is how the target is named on the command line.
func flag(t queue.Target) string {
	if t.Scope == queue.ScopeAll {
		return ""
	}
	return fmt.Sprintf(" --%s %s", t.Scope, terminal.Argument(t.Name))
}
