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
	"slices"
	"strconv"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker/job"
)

// Columns names the columns that a file may have.
const Columns = "wcId, id, type, ttuid, aid, tenant, deadline and label.NAME"

// unlabelled are those columns without label.NAME, as they are compared.
var unlabelled = []string{"wcid", "id", "type", "ttuid", "aid", "tenant", "deadline"}

// Read returns the file's jobs, each begun with what template returns, or an error
// that names every wrong line and column. It reads to the end first.
func Read(r io.Reader, template func() *job.Job) ([]*job.Job, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	lines, names, err := open(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	columns, mismatch := []string{"wcId"}, "but no first line names them: quote a wcId with commas"
	if names != nil {
		columns, mismatch = names, fmt.Sprintf("but the first line names %d", len(names))
		if err := checkColumns(columns); err != nil {
			return nil, fmt.Errorf("read the columns' names: %w", err)
		}
	}
	var jobs []*job.Job
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

// checkColumns takes spaces from around the names.
func checkColumns(names []string) error {
	seen := map[string]bool{}
	for i, name := range names {
		name = strings.TrimSpace(name)
		key := strings.ToLower(name)
		switch {
		case !slices.Contains(unlabelled, key) && labelOf(name) == "":
			return fmt.Errorf("unknown column %q: there are %s", name, Columns)
		case seen[key]:
			return fmt.Errorf("column %q is there twice", name)
		}
		names[i], seen[key] = name, true
	}
	return nil
}

// labelOf returns the label's name in a column's, which may begin with labels. too.
func labelOf(column string) string {
	if prefix, name, _ := strings.Cut(column, "."); prefix == "label" || prefix == "labels" {
		return name
	}
	return ""
}

// fillIn sets what the record's cells say; empty ones say nothing.
func fillIn(j *job.Job, columns, record []string) error {
	for i, text := range record {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := set(j, columns[i], text); err != nil {
			return fmt.Errorf("column %s: %q: %w", columns[i], text, err)
		}
	}
	return j.Check()
}

// set sets what one cell says. Its error says what is wanted.
func set(j *job.Job, column, text string) (err error) {
	switch strings.ToLower(column) {
	case "wcid":
		j.WcID = text
	case "id":
		j.ID = text
	case "type":
		if j.Type, err = strconv.Atoi(text); err != nil {
			return errors.New("want a number")
		}
	case "ttuid":
		j.TTUID = text
	case "aid":
		j.AID = text
	case "tenant":
		j.Tenant = text
	case "deadline":
		j.Deadline, err = settings.ParseTime(text, 1)
	default:
		if j.Labels == nil {
			j.Labels = map[string]string{}
		}
		j.Labels[labelOf(column)] = text
	}
	return err
}
