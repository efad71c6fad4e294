package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/backend"
	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// dead is one of the dead commands: its flags, which say which dead letters are meant and what
// is done with them, and what it works with.
type dead struct {
	queue.DeadLetterFilter
	Each   bool // of list
	All    bool // of replay and drop, as what follows
	DryRun bool
	Yes    bool
	Output output.Format

	command   string
	sequences []uint64 // that were named
	program   *Program
	letters   *queue.DeadLetters
	printer   *output.Printer
}

func (d *dead) Declare(s *settings.Settings) {
	if d.command != "show" {
		s.Section("Dead letters")
		s.AddFlag("reason", settings.Text(&d.Reason), "", "only those whose reason has this in it, in upper or lower case")
		s.AddFlag("lane", settings.Choice(&d.Lane, job.Urgent, job.Normal), "", "only jobs of this lane")
		s.AddFlag("tenant", settings.Text(&d.Tenant), "", "only this tenant's")
		s.AddFlag("account", settings.Text(&d.WcID), "", "only this wcId's")
		s.AddFlag("job", settings.Text(&d.JobID), "", "only the job of this id")
		s.AddFlag("since", settings.Time(&d.Since, -1), "", "only those that died then or later: so long ago, such as 1h, or a time, such as 2026-01-31T15:04:05Z")
		s.AddFlag("before", settings.Time(&d.Before, -1), "", "only those that died before then: so long ago, or a time")
	}
	switch d.command {
	case "list":
		s.AddFlag("each", settings.Bool(&d.Each), "false", "list each letter instead of grouping them by reason")
	case "replay", "drop":
		s.AddFlag("all", settings.Bool(&d.All), "false", "all of them, where no flag and no sequence says which")
		s.AddFlag("dry-run", settings.Bool(&d.DryRun), "false", "only tell which and how many they are")
	}
	if d.command == "drop" {
		s.AddFlag("yes", settings.Bool(&d.Yes), "false", "do not ask")
	}
	output.Declare(s, &d.Output)
}

func newDeadCommand(p *Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "look at dead letters, bring them back, or drop them",
		Long:  `Dead letters are messages that could not be processed: no jobs at all, jobs that break a rule or name an unknown tenant, and jobs that were delivered too often. Here too are events that a durable consumer could not handle. Each is kept for --dead-max-age, its bytes untouched.`,
		Args:  unknownCommand,
		RunE: func(*cobra.Command, []string) error {
			return settings.UsageError{Err: errors.New("a command is missing: list, show, replay or drop")}
		},
	}
	list := newDeadSubcommand(p, "list", (*dead).list)
	list.Short = "list them, grouped by reason"
	list.Example = `  relogin dead list
  relogin dead list --each --tenant acme --since 24h`
	show := newDeadSubcommand(p, "show SEQUENCE", (*dead).show)
	show.Short = "show one, with its body as JSON"
	show.Long = "Shows one dead letter: why it died, where it was before, and its body as JSON, whatever its encoding. A login's token and data are not shown."
	replay := newDeadSubcommand(p, "replay [flags] [SEQUENCE…]", (*dead).replay)
	replay.Short = "publish them as jobs again"
	replay.Long = `Publishes dead letters as jobs again, in their lanes, with the bytes, headers and ids that they had, and removes them from the dead letters. Each becomes one job, however often this is repeated.

Workers take a job whose id they remember for the same job: one that was given up as unknown asks nobody again before --job-memory is over. One that was invalid is welcome under its id, and dies again unless what was wrong is mended: the settings of a tenant, for example. A job with wrong bytes has to be sent anew by who made it.`
	replay.Example = `  relogin dead replay 17
  relogin dead replay --reason 'unknown tenant' --tenant acme --dry-run`
	drop := newDeadSubcommand(p, "drop [flags] [SEQUENCE…]", (*dead).drop)
	drop.Short = "delete them for good"
	drop.Long = "Deletes dead letters for good, after asking. They have had their events, where their accounts could be read."
	drop.Example = `  relogin dead drop 17 18
  relogin dead drop --before 168h --yes`
	cmd.AddCommand(list, show, replay, drop)
	return cmd
}

func newDeadSubcommand(p *Program, use string, run func(*dead, context.Context) error) *cobra.Command {
	d := &dead{program: p}
	d.command, _, _ = strings.Cut(use, " ")
	var n backend.NATS
	return p.command(&cobra.Command{Use: use, Args: d.checkArguments}, func(ctx context.Context, _ *settings.Settings, log *slog.Logger) error {
		nc, err := n.ConnectSoon(ctx, "relogin dead "+d.command, log, backend.Patience)
		if err != nil {
			return err
		}
		defer nc.Close()
		if d.letters, err = queue.OpenDeadLetters(ctx, nc, n.Namespace); err != nil {
			return err
		}
		d.printer = output.NewPrinter(p.Stdout, d.Output, p.Environ)
		return run(d, ctx)
	}, d, &n)
}

// errSomeFailed ends a command that has told of each letter that failed.
var errSomeFailed = errors.New("some dead letters failed")

// checkArguments checks that the arguments are sequences, and that it is clear which letters
// are meant.
func (d *dead) checkArguments(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		sequence, err := strconv.ParseUint(arg, 10, 64)
		d.sequences = append(d.sequences, sequence)
		if err != nil {
			return settings.UsageError{Err: fmt.Errorf("%s is no sequence: want a number, as relogin dead list --each shows it", terminal.Printable(arg))}
		}
	}
	chosen := d.All || d.DeadLetterFilter != (queue.DeadLetterFilter{})
	var wrong error
	switch d.command {
	case "list":
		return settings.NoArguments(cmd, args)
	case "show":
		if len(args) != 1 {
			wrong = errors.New("want one sequence, as relogin dead list --each shows it")
		}
	case "drop":
		if !d.Yes && !d.DryRun && !terminal.IsTerminal(d.program.Stdin) {
			wrong = errors.New("dropping is for good: add --yes, or --dry-run to see what it would be")
		}
		fallthrough
	default:
		if len(args) == 0 && !chosen {
			wrong = errors.New("which of them? Name their sequences, or choose them by a flag; --all takes all")
		} else if len(args) > 0 && chosen {
			wrong = errors.New("want either sequences or flags that choose letters, not both")
		}
	}
	if wrong != nil {
		return settings.UsageError{Err: wrong}
	}
	return nil
}

func (d *dead) list(ctx context.Context) error {
	var groups letters.Groups
	total := 0
	for l, err := range d.letters.All(ctx, d.DeadLetterFilter) {
		if err != nil {
			return err
		}
		total++
		if !d.Each {
			groups.Add(l)
		} else if err := d.printer.Print(letters.Describe(l), "%s\n", line(l)); err != nil {
			return err
		}
	}
	for _, g := range groups.All() {
		if err := d.printer.Print(g, "%6d  %s to %s  %d accounts  %s  (relogin dead show %d)\n", g.Letters, clock(g.Oldest), clock(g.Newest),
			g.Accounts, sentence(g.Reason), g.Example); err != nil {
			return err
		}
	}
	if total == 0 && d.Output != output.JSON {
		return d.printer.Print(nil, "There are no such dead letters.\n")
	}
	return nil
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }

// sentence returns a text without what could play tricks on a terminal.
func sentence(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// line is a letter in one line.
func line(l *queue.DeadLetter) string {
	from := "lane " + string(l.Lane)
	if l.Consumer != "" {
		from = "consumer " + terminal.Printable(l.Consumer)
	}
	return fmt.Sprintf("%6d  %s  %s  %s  %s  %s", l.Sequence, clock(l.StoredAt), from, terminal.Printable(l.WcID), terminal.Printable(l.JobID), sentence(l.Reason))
}

func (d *dead) show(ctx context.Context) error {
	l, err := d.letters.Get(ctx, d.sequences[0])
	if err != nil {
		return err
	}
	body := letters.Body(l.Data)
	shown := struct {
		letters.Letter
		Headers map[string][]string `json:"headers,omitempty"`
		Body    string              `json:"body"`
	}{letters.Describe(l), l.Header, body}
	headers := ""
	for _, key := range slices.Sorted(maps.Keys(l.Header)) {
		values := l.Header[key]
		headers += fmt.Sprintf("  %s: %s\n", terminal.Printable(key), terminal.Printable(strings.Join(values, ", ")))
	}
	return d.printer.Print(shown, "%s\n\nHeaders\n%s\nBody (%d bytes)\n%s\n", line(l), headers, len(l.Data), body)
}

func (d *dead) replay(ctx context.Context) error {
	return d.bulk(ctx, "replayed", "would be replayed", func(ctx context.Context, l *queue.DeadLetter) error {
		_, err := d.letters.Replay(ctx, l)
		return err
	})
}

func (d *dead) drop(ctx context.Context) error {
	if !d.Yes && !d.DryRun {
		if err := d.confirm(ctx); err != nil {
			return err
		}
	}
	return d.bulk(ctx, "dropped", "would be dropped", d.letters.Drop)
}

// confirm asks whether the letters may be dropped.
func (d *dead) confirm(ctx context.Context) error {
	n := 0
	for _, err := range d.chosen(ctx) {
		if err != nil {
			return err
		}
		n++
	}
	fmt.Fprintf(d.program.Stderr, "Drop %d dead letters for good? [y/N] ", n)
	answer, err := bufio.NewReader(d.program.Stdin).ReadString('\n')
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "y") {
		return nil
	}
	return errors.New("nothing was dropped")
}

// chosen are the letters that sequences or flags say.
func (d *dead) chosen(ctx context.Context) iter.Seq2[*queue.DeadLetter, error] {
	if len(d.sequences) == 0 {
		return d.letters.All(ctx, d.DeadLetterFilter)
	}
	return func(yield func(*queue.DeadLetter, error) bool) {
		for _, sequence := range d.sequences {
			if l, err := d.letters.Get(ctx, sequence); !yield(l, err) {
				return
			}
		}
	}
}

// bulk does it with all letters that are chosen, and tells how many they were. It returns
// [errSomeFailed] when some could not be.
func (d *dead) bulk(ctx context.Context, did, would string, do func(context.Context, *queue.DeadLetter) error) error {
	if d.DryRun {
		did, do = would, func(context.Context, *queue.DeadLetter) error { return nil }
	}
	progress := terminal.Progress(d.program.Stderr, -1, did)
	done, failed := 0, 0
	err := letters.Bulk(ctx, d.chosen(ctx), do, func(l *queue.DeadLetter, err error) error {
		_ = progress.Add(1) // it is for looking at
		result := struct {
			letters.Letter
			Did   string `json:"did,omitempty"`
			Error string `json:"error,omitempty"`
		}{Letter: letters.Describe(l), Did: did}
		if err != nil {
			failed++
			result.Did, result.Error = "", err.Error()
			if d.Output != output.JSON {
				_, err := fmt.Fprintf(d.program.Stderr, "%s: %v\n", line(l), err)
				return err
			}
			return d.printer.Print(result, "")
		}
		done++
		if d.Output == output.JSON || d.DryRun || len(d.sequences) > 0 {
			return d.printer.Print(result, "%s\n", line(l))
		}
		return nil
	})
	_ = progress.Finish()
	if d.Output != output.JSON {
		fmt.Fprintf(d.program.Stderr, "%s: %d, failed: %d\n", did, done, failed)
	}
	if err == nil && failed > 0 {
		return errSomeFailed
	}
	return err
}
