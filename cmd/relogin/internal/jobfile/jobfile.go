// Package jobfile reads files of jobs.
//
// A job file is CSV in UTF-8. Its first line names the columns where one of them is wcId;
// without such a line there is one column, the wcId. A byte order mark, CRLF, blank lines and
// lines that begin with # are passed over, and spaces around cells; commas may be semicolons
// or tabs where the first line has those.
package jobfile

import (
	"bytes"
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
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	lines, names, err := open(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	columns, mismatch := []column{{"wcId", cells["wcid"]}}, "but no first line names them: quote a wcId with commas"
	if names != nil {
		if columns, err = readHeader(names); err != nil {
			return nil, fmt.Errorf("read the columns' names: %w", err)
		}
		mismatch = fmt.Sprintf("but the first line names %d", len(columns))
	}
	var jobs []*worker.Job
	var wrong []string
	for {
		record, err := next(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		j, line := template(), 0
		var malformed *csv.ParseError
		if errors.As(err, &malformed) {
			line, err = malformed.StartLine, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)
		} else if line, _ = lines.FieldPos(0); len(record) != len(columns) {
			err = fmt.Errorf("%d columns, %s", len(record), mismatch)
		} else {
			err = fillIn(j, columns, record)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("line %d: %s", line, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
		jobs = append(jobs, j)
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%d wrong lines, nothing was published:%s", len(wrong), terminal.Some(wrong))
	}
	return jobs, nil
}

// next returns the next line that is not blank.
func next(lines *csv.Reader) (record []string, err error) {
	for strings.TrimSpace(strings.Join(record, "")) == "" && err == nil {
		record, err = lines.Read()
	}
	return record, err
}

func readHeader(names []string) (columns []column, err error) {
	seen := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		key := strings.ToLower(name)
		set := cells[key]
		for _, prefix := range []string{"label.", "labels."} {
			if label, found := strings.CutPrefix(name, prefix); found && label != "" {
				set = setLabel(label)
			}
		}
		switch {
		case set == nil:
			return nil, fmt.Errorf("unknown column %q: there are %s", name, Columns)
		case seen[key]:
			return nil, fmt.Errorf("column %q is there twice", name)
		}
		seen[key] = true
		columns = append(columns, column{name, set})
	}
	return columns, nil
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
func fillIn(j *worker.Job, columns []column, record []string) error {
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
