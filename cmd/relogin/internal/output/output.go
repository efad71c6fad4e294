// Package output prints what commands have to say, as text or as JSON.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker"
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
	s.AddFlag("output", settings.Choice(p, Text, JSON), "text", "json: one object a line").Short("o")
}

// Printer prints jobs, events and findings.
type Printer struct {
	w       io.Writer
	format  Format
	colored bool
}

// NewPrinter returns a printer that writes to w. It colours text on a terminal, unless the
// environment, in the form of [os.Environ], has NO_COLOR.
func NewPrinter(w io.Writer, format Format, environ []string) *Printer {
	noColor := slices.ContainsFunc(environ, func(v string) bool {
		name, text, _ := strings.Cut(v, "=")
		return name == "NO_COLOR" && text != ""
	})
	return &Printer{w: w, format: format, colored: terminal.IsTerminal(w) && !noColor}
}

// Format returns how it prints.
func (p *Printer) Format() Format { return p.format }

// Printf prints text.
func (p *Printer) Printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.w, format, args...)
	return err
}

// JSON prints the value on one line.
func (p *Printer) JSON(v any) error {
	encoder := json.NewEncoder(p.w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// Event prints an event; as text without a login's token and data.
func (p *Printer) Event(e *worker.Event) error {
	if p.format == JSON {
		return p.JSON(e)
	}
	at := e.FinishedAt.Local().Format(time.DateTime)
	_, err := fmt.Fprintf(p.w, "%s  %s  %s  %s%s\n", at, p.Outcome(e.Outcome), terminal.Printable(e.WcID), terminal.Printable(e.JobID), Notes(e))
	return err
}

// Finding prints what is wrong with the queue, or was.
func (p *Printer) Finding(f queue.Finding) error {
	if p.format == JSON {
		return p.JSON(f)
	}
	_, err := fmt.Fprintf(p.w, "%-7s  %v\n", f.Severity, f)
	return err
}

// Published prints a job that is stored.
func (p *Printer) Published(j *worker.Job, lane worker.Lane, stored queue.Stored) error {
	if p.format == JSON {
		return p.JSON(struct {
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
	_, err := fmt.Fprintf(p.w, "published  %s  %s%s\n", terminal.Printable(j.WcID), terminal.Printable(j.ID), note)
	return err
}

// Notes returns what else there is to say of an event.
func Notes(e *worker.Event) string {
	var b strings.Builder
	if e.Login != nil && e.Login.WcID != e.WcID {
		fmt.Fprintf(&b, "  the login is of %s", terminal.Printable(e.Login.WcID))
	}
	if e.Outcome != worker.Succeeded && (e.Code != "" || e.Message != "") {
		fmt.Fprintf(&b, "  %s", terminal.Printable(strings.TrimSpace(e.Code+" "+e.Message)))
	}
	if e.SharedWith != "" {
		fmt.Fprintf(&b, "  (shared with %s)", terminal.Printable(e.SharedWith))
	}
	if e.Reconciled {
		b.WriteString("  (from the online list)")
	}
	if !e.RetryAfter.IsZero() {
		fmt.Fprintf(&b, "  (not before %s)", e.RetryAfter.Local().Format(time.DateTime))
	}
	return b.String()
}

// Colours of a terminal.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	plain  = "\x1b[0m"
)

// Outcome returns the word in a column, coloured by whether something must be done.
func (p *Printer) Outcome(o worker.Outcome) string {
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
