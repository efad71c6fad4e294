// Package output prints what commands have to say, as text or as JSON.
package output

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

// Format is how a command prints.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json" // one object a line
)

// Declare declares --output.
func Declare(s *settings.Settings, p *Format) {
	s.AddFlag("output", settings.Choice(p, Text, JSON), "text", "json: one object a line").Shorthand = "o"
}

// Printer prints what commands have to say.
type Printer struct {
	w       io.Writer
	format  Format
	colored bool
}

// NewPrinter returns a printer that writes to w. It colours text on a terminal, unless the
// environment, in the form of [os.Environ], has NO_COLOR.
func NewPrinter(w io.Writer, format Format, environ []string) *Printer {
	noColor := slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" })
	return &Printer{w: w, format: format, colored: terminal.IsTerminal(w) && !noColor}
}

// JSON tells whether it prints JSON.
func (p *Printer) JSON() bool { return p.format == JSON }

// Print prints the value as one line of JSON, or else the text.
func (p *Printer) Print(v any, format string, args ...any) error {
	if p.format == JSON {
		encoder := json.NewEncoder(p.w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(v)
	}
	_, err := fmt.Fprintf(p.w, format, args...)
	return err
}

// Event prints an event; as text without a login's token and data.
func (p *Printer) Event(e *job.Event) error {
	return p.Print(e, "%s  %s  %s  %s%s\n", terminal.Clock(e.FinishedAt), p.Outcome(e.Outcome),
		terminal.Printable(e.WcID), terminal.Printable(e.JobID), Notes(e))
}

// Published prints a job that is stored.
func (p *Printer) Published(j *job.Job, lane job.Lane, stored queue.Stored) error {
	note := ""
	if stored.Duplicate {
		note = "  (it was published before)"
	}
	return p.Print(struct {
		ID        string   `json:"id"`
		WcID      string   `json:"wcId"`
		Lane      job.Lane `json:"lane"`
		Sequence  uint64   `json:"sequence"`
		Duplicate bool     `json:"duplicate,omitempty"`
	}{j.ID, j.WcID, lane, stored.Sequence, stored.Duplicate},
		"published  %s  %s%s\n", terminal.Printable(j.WcID), terminal.Printable(j.ID), note)
}

// Notes returns what else there is to say of an event.
func Notes(e *job.Event) string {
	var b strings.Builder
	if e.Login != nil && e.Login.WcID != e.WcID {
		fmt.Fprintf(&b, "  the login is of %s", terminal.Printable(e.Login.WcID))
	}
	if e.Outcome != job.Succeeded && (e.Code != "" || e.Message != "") {
		fmt.Fprintf(&b, "  %s", terminal.Printable(strings.TrimSpace(e.Code+" "+e.Message)))
	}
	if e.SharedWith != "" {
		fmt.Fprintf(&b, "  (shared with %s)", terminal.Printable(e.SharedWith))
	}
	if e.Reconciled {
		b.WriteString("  (from the online list)")
	}
	if !e.RetryAfter.IsZero() {
		fmt.Fprintf(&b, "  (not before %s)", terminal.Clock(e.RetryAfter))
	}
	return b.String()
}

const red = "\x1b[31m" // what begins a colour on a terminal

// colors are those of outcomes, by whether something must be done. All others are red.
var colors = map[job.Outcome]string{
	job.Succeeded: "\x1b[32m",
	job.NeedsScan: "\x1b[33m", job.Expired: "\x1b[33m", job.Throttled: "\x1b[33m", job.Cancelled: "\x1b[33m",
}

// Outcome returns the word in a column, coloured where that is wanted.
func (p *Printer) Outcome(o job.Outcome) string {
	word := fmt.Sprintf("%-12s", o)
	if !p.colored {
		return word
	}
	return cmp.Or(colors[o], red) + word + "\x1b[0m"
}

// Counts returns how many jobs ended in each outcome, such as 3 succeeded, 1 failed.
func Counts(outcomes map[job.Outcome]int) string {
	var parts []string
	for _, o := range job.Outcomes() {
		if n := outcomes[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	return strings.Join(parts, ", ")
}
