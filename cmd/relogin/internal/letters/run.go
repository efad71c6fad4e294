package letters

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/audit"
	"github.com/relogin/relogin/cmd/relogin/internal/bulk"
	"github.com/relogin/relogin/cmd/relogin/internal/output"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
)

// ErrSomeFailed is returned by [Run] when it has told of each letter that failed.
var ErrSomeFailed = errors.New("some dead letters failed")

// Options are what [Run] needs.
type Options struct {
	*Settings
	Who     *audit.Who // of replay and drop
	Letters *queue.DeadLetters
	Audit   *queue.Audit
	Stderr  io.Writer // gets the progress, the totals, and which letters failed
	Printer *output.Printer
}

// run is one command at work.
type run struct{ Options }

// Run does what the settings say. It blocks until that is done, or ctx ends.
func Run(ctx context.Context, o Options) error {
	r := &run{o}
	return map[string]func(context.Context) error{"list": r.list, "show": r.show, "replay": r.replay, "drop": r.drop}[o.Command](ctx)
}

func (r *run) list(ctx context.Context) error {
	groups := Groups{}
	total := 0
	for l, err := range r.Letters.All(ctx, r.DeadLetterFilter) {
		if err != nil {
			return err
		}
		total++
		if !r.Each {
			groups.Add(l)
		} else if err := r.Printer.Print(Describe(l), "%s\n", line(l)); err != nil {
			return err
		}
	}
	for _, g := range groups.All() {
		if err := r.Printer.Print(g, "%6d  %s to %s  %d accounts  %s  (relogin dead show %d)\n", g.Letters, terminal.Clock(g.Oldest), terminal.Clock(g.Newest),
			g.Accounts, terminal.Sentence(g.Reason), g.Example); err != nil {
			return err
		}
	}
	if total == 0 && r.Output != output.JSON {
		return r.Printer.Print(nil, "There are no such dead letters.\n")
	}
	return nil
}

// line is a letter in one line.
func line(l *queue.DeadLetter) string {
	from := "lane " + string(l.Lane)
	if l.Consumer != "" {
		from = "consumer " + terminal.Printable(l.Consumer)
	}
	return fmt.Sprintf("%6d  %s  %s  %s  %s  %s", l.Sequence, terminal.Clock(l.StoredAt), from, terminal.Printable(l.WcID), terminal.Printable(l.JobID), terminal.Sentence(l.Reason))
}

func (r *run) show(ctx context.Context) error {
	l, err := r.Letters.Get(ctx, r.sequences[0])
	if err != nil {
		return err
	}
	body := Body(l.Data)
	shown := struct {
		Letter
		Headers map[string][]string `json:"headers,omitempty"`
		Body    string              `json:"body"`
	}{Describe(l), l.Header, body}
	headers := ""
	for _, key := range slices.Sorted(maps.Keys(l.Header)) {
		values := l.Header[key]
		headers += fmt.Sprintf("  %s: %s\n", terminal.Printable(key), terminal.Printable(strings.Join(values, ", ")))
	}
	return r.Printer.Print(shown, "%s\n\nHeaders\n%s\nBody (%d bytes)\n%s\n", line(l), headers, len(l.Data), body)
}

func (r *run) replay(ctx context.Context) error { return r.bulk(ctx, queue.ActionReplay, "replayed") }

func (r *run) drop(ctx context.Context) error {
	if !r.Yes && !r.DryRun {
		if err := r.confirm(ctx); err != nil {
			return err
		}
	}
	return r.bulk(ctx, queue.ActionDrop, "dropped")
}

// confirm asks whether the letters may be dropped.
func (r *run) confirm(ctx context.Context) error {
	n := 0
	for _, err := range r.chosen(ctx) {
		if err != nil {
			return err
		}
		n++
	}
	fmt.Fprintf(r.Stderr, "Drop %d dead letters for good? [y/N] ", n)
	answer, err := bufio.NewReader(r.Stdin).ReadString('\n')
	if err == nil && strings.EqualFold(strings.TrimSpace(answer), "y") {
		return nil
	}
	return errors.New("nothing was dropped")
}

// chosen are the letters that sequences or flags say.
func (r *run) chosen(ctx context.Context) iter.Seq2[*queue.DeadLetter, error] {
	if len(r.sequences) == 0 {
		return r.Letters.All(ctx, r.DeadLetterFilter)
	}
	return func(yield func(*queue.DeadLetter, error) bool) {
		for _, sequence := range r.sequences {
			if l, err := r.Letters.Get(ctx, sequence); !yield(l, err) {
				return
			}
		}
	}
}

// bulk does it with all letters that are chosen, once that is in the audit, and tells how many they
// were. It returns [ErrSomeFailed] when some could not be.
func (r *run) bulk(ctx context.Context, action queue.Action, did string) error {
	do := Apply(r.Letters, action)
	if r.DryRun {
		did, do = "would be "+did, func(context.Context, *queue.DeadLetter) error { return nil }
	} else if err := r.Audit.Record(ctx, queue.AuditEntry{Action: action, By: r.Who.By, Reason: r.Who.Reason, What: r.describe()}); err != nil {
		return err
	}
	progress := terminal.Progress(r.Stderr, -1, did)
	done, failed := 0, 0
	err := bulk.Each(ctx, r.chosen(ctx), do, func(l *queue.DeadLetter, err error) error {
		_ = progress.Add(1) // it is for looking at
		result := struct {
			Letter
			Did   string `json:"did,omitempty"`
			Error string `json:"error,omitempty"`
		}{Letter: Describe(l), Did: did}
		if err != nil {
			failed++
			result.Did, result.Error = "", err.Error()
			if r.Output != output.JSON {
				_, err := fmt.Fprintf(r.Stderr, "%s: %v\n", line(l), err)
				return err
			}
			return r.Printer.Print(result, "")
		}
		done++
		if r.Output == output.JSON || r.DryRun || len(r.sequences) > 0 {
			return r.Printer.Print(result, "%s\n", line(l))
		}
		return nil
	})
	_ = progress.Finish()
	if r.Output != output.JSON {
		fmt.Fprintf(r.Stderr, "%s: %d, failed: %d\n", did, done, failed)
	}
	if err == nil && failed > 0 {
		return ErrSomeFailed
	}
	return err
}
