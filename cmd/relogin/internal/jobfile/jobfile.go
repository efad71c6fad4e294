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
	lines, columns, err := open(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	mismatch := fmt.Sprintf("but the first line names %d", len(columns))
	if columns == nil {
		columns, mismatch = []string{"wcId"}, "but no first line names them: quote a wcId with commas"
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

// open finds out how the columns are separated. It returns a reader of the jobs, and the
// columns' names where the first line has them. One that seems to, but has no wcId, is an
// error: its names would be jobs.
func open(text []byte) (lines *csv.Reader, names []string, err error) {
	for _, separator := range ",;\t" {
		lines = newReader(text, separator)
		first, err := next(lines)
		if err != nil {
			continue // what is wrong with it shows when it is read as a job
		}
		if slices.ContainsFunc(first, func(name string) bool { return tidy(name) == "wcid" }) {
			return lines, first, checkColumns(first)
		}
		if seemsHeader(first) {
			return nil, nil, fmt.Errorf("the first line, %s, seems to name columns, and none is wcId: call the account's column wcId; there are %s",
				terminal.Printable(strings.Join(first, string(separator))), Columns)
		}
	}
	return newReader(text, ','), nil, nil
}

func newReader(text []byte, separator rune) *csv.Reader {
	lines := csv.NewReader(bytes.NewReader(text))
	lines.Comma, lines.Comment, lines.FieldsPerRecord, lines.TrimLeadingSpace = separator, '#', -1, true
	return lines
}

func tidy(name string) string { return strings.ToLower(strings.Trim(name, "\" \t")) }

// accountNames are what people call the column of accounts, without spaces, _ and -.
var accountNames = []string{
	"wxid", "wechat", "wechatid", "weixin", "weixinid", "account", "accountid", "user", "userid", "username",
	"微信", "微信号", "微信id", "账号", "帐号", "账户", "帐户", "用户", "用户名", "用户id",
}

// seemsHeader tells whether a line without wcId has another name of the account's column,
// or nothing but names of columns.
func seemsHeader(line []string) bool {
	names := strings.FieldsFunc(strings.Join(line, ","), func(r rune) bool { return r == ',' || r == '，' })
	allKnown := len(names) > 0
	for _, name := range names {
		name = tidy(name)
		if slices.Contains(accountNames, strings.NewReplacer(" ", "", "_", "", "-", "").Replace(name)) {
			return true
		}
		allKnown = allKnown && slices.Contains(unlabelled, name)
	}
	return allKnown
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
			return fmt.Errorf("read the columns' names: unknown column %q: there are %s", name, Columns)
		case seen[key]:
			return fmt.Errorf("read the columns' names: column %q is there twice", name)
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

// fillIn sets what the record's cells say; empty ones say nothing. Its error says what is wanted.
func fillIn(j *job.Job, columns, record []string) (err error) {
	texts := map[string]*string{"wcid": &j.WcID, "id": &j.ID, "ttuid": &j.TTUID, "aid": &j.AID, "tenant": &j.Tenant}
	for i, text := range record {
		text = strings.TrimSpace(text)
		column := strings.ToLower(columns[i])
		switch p := texts[column]; {
		case text == "":
		case p != nil:
			*p = text
		case column == "type":
			if j.Type, err = strconv.Atoi(text); err != nil {
				err = errors.New("want a number")
			}
		case column == "deadline":
			j.Deadline, err = settings.ParseTime(text, 1)
		default:
			if j.Labels == nil {
				j.Labels = map[string]string{}
			}
			j.Labels[labelOf(columns[i])] = text
		}
		if err != nil {
			return fmt.Errorf("column %s: %q: %w", columns[i], text, err)
		}
	}
	return j.Check()
}
