package jobfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
)

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
			return lines, first, nil
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
