// Package jobfile reads files of jobs.
//
// A job file is CSV in UTF-8. Its first line names the columns where one of them is wcId;
// without such a line there is one column, the wcId. A byte order mark, CRLF, blank lines and
// lines that begin with # are passed over, and spaces around cells; commas may be semicolons
// or tabs where the first line has those.
package jobfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker"
)

const (
	labelPrefix  = "label."
	labelsPrefix = "labels."
)

// cell sets one column's value in a job. Its error says what is wanted.
type cell func(j *worker.Job, text string) error

var cells = map[string]cell{
	"wcid":   func(j *worker.Job, text string) error { j.WcID = text; return nil },
	"id":     func(j *worker.Job, text string) error { j.ID = text; return nil },
	"ttuid":  func(j *worker.Job, text string) error { j.TTUID = text; return nil },
	"aid":    func(j *worker.Job, text string) error { j.AID = text; return nil },
	"tenant": func(j *worker.Job, text string) error { j.Tenant = text; return nil },
	"type": func(j *worker.Job, text string) (err error) {
		if j.Type, err = strconv.Atoi(text); err != nil {
			return errors.New("want a number")
		}
		return nil
	},
	"deadline": func(j *worker.Job, text string) (err error) {
		j.Deadline, err = settings.ParseTime(text, 1)
		return err
	},
}

// Columns names the columns that a file may have.
const Columns = "wcId, id, type, ttuid, aid, tenant, deadline and label.NAME"

// column is one column of the file.
type column struct {
	name string
	set  cell
}

// Read returns the file's jobs, each begun with what template returns, or an error
// that names every wrong line and column. It reads to the end first.
func Read(r io.Reader, template func() *worker.Job) ([]*worker.Job, error) {
	lines, header, err := newLineReader(r)
	if err != nil {
		return nil, err
	}
	columns := []column{{"wcId", cells["wcid"]}}
	if header {
		first, err := lines.Read()
		if err == nil {
			columns, err = readHeader(first)
		}
		if err != nil {
			return nil, fmt.Errorf("read the columns' names: %w", err)
		}
	}
	var jobs []*worker.Job
	var wrong lineErrors
	for {
		record, err := lines.Read()
		var malformed *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return jobs, wrong.err()
		case errors.As(err, &malformed):
			wrong.note(malformed.StartLine, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err))
			continue
		case err != nil:
			return nil, fmt.Errorf("read jobs: %w", err)
		case isBlank(record):
			continue
		}
		line, _ := lines.FieldPos(0)
		j := template()
		if err := fillIn(j, columns, record, header); err != nil {
			wrong.note(line, err)
			continue
		}
		jobs = append(jobs, j)
	}
}

func readHeader(names []string) ([]column, error) {
	var columns []column
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		set, known := cells[strings.ToLower(name)]
		if label, found := labelName(name); found {
			set, known = setLabel(label), true
		}
		if !known {
			return nil, fmt.Errorf("unknown column %q: there are %s", name, Columns)
		}
		if key := strings.ToLower(name); seen[key] {
			return nil, fmt.Errorf("column %q is there twice", name)
		} else {
			seen[key] = true
		}
		columns = append(columns, column{name, set})
	}
	return columns, nil
}

func labelName(column string) (string, bool) {
	if name, found := strings.CutPrefix(column, labelPrefix); found {
		return name, name != ""
	}
	name, found := strings.CutPrefix(column, labelsPrefix)
	return name, found && name != ""
}

func setLabel(name string) cell {
	return func(j *worker.Job, text string) error {
		if j.Labels == nil {
			j.Labels = map[string]string{}
		}
		j.Labels[name] = text
		return nil
	}
}

// fillIn sets what the record's cells say; empty ones say nothing.
func fillIn(j *worker.Job, columns []column, record []string, header bool) error {
	if len(record) != len(columns) {
		if !header {
			return fmt.Errorf("%d columns, but no first line names them: quote a wcId with commas", len(record))
		}
		return fmt.Errorf("%d columns, but the first line names %d", len(record), len(columns))
	}
	for i, text := range record {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := columns[i].set(j, text); err != nil {
			return fmt.Errorf("column %s: %q: %w", columns[i].name, text, err)
		}
	}
	return j.Check()
}

func isBlank(record []string) bool {
	return strings.TrimSpace(strings.Join(record, "")) == ""
}

// lineErrors are what is wrong with a file.
type lineErrors struct{ terminal.List }

func (l *lineErrors) note(line int, err error) {
	l.Add(fmt.Sprintf("line %d: %s", line, strings.ReplaceAll(err.Error(), "\n", "; ")))
}

func (l *lineErrors) err() error {
	if l.Len() == 0 {
		return nil
	}
	return fmt.Errorf("%d wrong lines, nothing was published:%s", l.Len(), &l.List)
}
