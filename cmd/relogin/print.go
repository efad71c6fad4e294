package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
)

// output is how a command prints.
type output string

const (
	outputText output = "text"
	outputJSON output = "json" // one object a line
)

func declareOutput(s *settings, p *output) {
	s.addFlag("output", choice(p, outputText, outputJSON), "text", "json: one object a line").short("o")
}

// printer prints jobs and events on standard output.
type printer struct {
	w       io.Writer
	output  output
	colored bool
}

// printer colours text on a terminal, unless NO_COLOR is set.
func (a *app) printer(o output) *printer {
	noColor := slices.ContainsFunc(a.environ, func(v string) bool {
		name, text, _ := strings.Cut(v, "=")
		return name == "NO_COLOR" && text != ""
	})
	return &printer{w: a.stdout, output: o, colored: isTerminal(a.stdout) && !noColor}
}

// json prints one line.
func (p *printer) json(v any) error {
	encoder := json.NewEncoder(p.w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// event prints one; as text without a login's token and data.
func (p *printer) event(e *worker.Event) error {
	if p.output == outputJSON {
		return p.json(e)
	}
	at := e.FinishedAt.Local().Format(time.DateTime)
	_, err := fmt.Fprintf(p.w, "%s  %s  %s  %s%s\n", at, p.outcome(e.Outcome), printable(e.WcID), printable(e.JobID), notes(e))
	return err
}

// finding prints what is wrong with the queue, or was.
func (p *printer) finding(f queue.Finding) error {
	if p.output == outputJSON {
		return p.json(f)
	}
	_, err := fmt.Fprintf(p.w, "%-7s  %v\n", f.Severity, f)
	return err
}

// published prints a job that is stored.
func (p *printer) published(j *worker.Job, lane worker.Lane, stored queue.Stored) error {
	if p.output == outputJSON {
		return p.json(struct {
			ID        string      `json:"id"`
			WcID      string      `json:"wcId"`
			Lane      worker.Lane `json:"lane"`
			Sequence  uint64      `json:"sequence"`
			Duplicate bool        `json:"duplicate,omitempty"`
		}{j.ID, j.WcID, lane, stored.Sequence, stored.Duplicate})
	}
	note := ""
	if stored.Duplicate {
		note = "  (it was published before)"
	}
	_, err := fmt.Fprintf(p.w, "published  %s  %s%s\n", printable(j.WcID), printable(j.ID), note)
	return err
}

// notes returns what else there is to say.
func notes(e *worker.Event) string {
	var b strings.Builder
	if e.Login != nil && e.Login.WcID != e.WcID {
		fmt.Fprintf(&b, "  the login is of %s", printable(e.Login.WcID))
	}
	if e.Outcome != worker.Succeeded && (e.Code != "" || e.Message != "") {
		fmt.Fprintf(&b, "  %s", printable(strings.TrimSpace(e.Code+" "+e.Message)))
	}
	if e.SharedWith != "" {
		fmt.Fprintf(&b, "  (shared with %s)", printable(e.SharedWith))
	}
	if e.Reconciled {
		b.WriteString("  (from the online list)")
	}
	if !e.RetryAfter.IsZero() {
		fmt.Fprintf(&b, "  (not before %s)", e.RetryAfter.Local().Format(time.DateTime))
	}
	return b.String()
}

// printable quotes what could play tricks on a terminal.
func printable(s string) string {
	quoted := fmt.Sprintf("%q", s)
	if quoted == `"`+s+`"` && s != "" {
		return s
	}
	return quoted
}

// atMost is a list of which ten are shown, a line each.
type atMost struct {
	shown []string
	count int
}

func (l *atMost) add(text string) {
	if l.count++; l.count <= 10 {
		l.shown = append(l.shown, text)
	}
}

// String returns the lines, each after a line break.
func (l *atMost) String() string {
	text := "\n  " + strings.Join(l.shown, "\n  ")
	if more := l.count - len(l.shown); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return text
}

// Colours of a terminal.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	plain  = "\x1b[0m"
)

// outcome returns the word in a column, coloured by whether something must be done.
func (p *printer) outcome(o worker.Outcome) string {
	word := fmt.Sprintf("%-12s", o)
	if !p.colored {
		return word
	}
	color := red
	switch o {
	case worker.Succeeded:
		color = green
	case worker.NeedsScan, worker.Expired, worker.Throttled:
		color = yellow
	}
	return color + word + plain
}
