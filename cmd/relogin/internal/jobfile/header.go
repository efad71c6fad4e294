package jobfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
	"github.com/relogin/relogin/worker"
)

// newLineReader finds out how the columns are separated, and whether the first line
// names them. One that seems to, but has no wcId, is an error: its names would be jobs.
func newLineReader(r io.Reader) (lines *csv.Reader, header bool, err error) {
	buffered := bufio.NewReaderSize(r, worker.MaxJobBytes)
	if start, _ := buffered.Peek(3); bytes.Equal(start, []byte("\ufeff")) {
		_, _ = buffered.Discard(len(start))
	}
	lines = csv.NewReader(buffered)
	lines.Comment, lines.FieldsPerRecord, lines.TrimLeadingSpace = '#', -1, true
	start, _ := buffered.Peek(buffered.Size()) // less where the file ends
	for line := range bytes.Lines(start) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		for _, separator := range ",;\t" {
			if namesAccount(line, separator) {
				lines.Comma = separator
				return lines, true, nil
			}
		}
		if seemsHeader(line) {
			return nil, false, fmt.Errorf("the first line, %s, seems to name columns, and none is wcId: call the account's column wcId; there are %s", terminal.Printable(string(line)), Columns)
		}
		break
	}
	return lines, false, nil
}

func namesAccount(line []byte, separator rune) bool {
	return slices.ContainsFunc(strings.Split(string(line), string(separator)), func(name string) bool {
		return strings.EqualFold(strings.Trim(name, "\" \t"), "wcId")
	})
}

// accountNames are what people call the column of accounts, without spaces, _ and -.
var accountNames = []string{
	"wxid", "wechat", "wechatid", "weixin", "weixinid", "account", "accountid", "user", "userid", "username",
	"微信", "微信号", "微信id", "账号", "帐号", "账户", "帐户", "用户", "用户名", "用户id",
}

// seemsHeader tells whether a line without wcId has another name of the account's column,
// or nothing but names of columns.
func seemsHeader(line []byte) bool {
	names := strings.FieldsFunc(string(line), func(r rune) bool { return strings.ContainsRune(",;\t，", r) })
	known := 0
	for _, name := range names {
		name = strings.ToLower(strings.Trim(name, "\" "))
		if slices.Contains(accountNames, strings.NewReplacer(" ", "", "_", "", "-", "").Replace(name)) {
			return true
		}
		if _, isColumn := cells[name]; isColumn {
			known++
		}
	}
	return len(names) > 0 && known == len(names)
}
