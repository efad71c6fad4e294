// Package terminal writes for people: text that fits their terminal, and nothing that could
// play tricks on it.
package terminal

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// IsTerminal tells whether the stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the columns of w, 80 where it is no terminal.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// Wrap prints the text indented, and broken between words where a line reaches the width.
// Nothing is printed for an empty text with an indent.
func Wrap(w io.Writer, width int, indent, text string) {
	if text == "" && indent != "" {
		return
	}
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && len(line)+1+len(word) > width {
			fmt.Fprintln(w, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

// Printable quotes what could play tricks on a terminal.
func Printable(s string) string {
	if quoted := strconv.Quote(s); s == "" || quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// plain is what no shell takes for anything else.
var plain = regexp.MustCompile(`^[\pL\pN_@%+=:,./-]+$`)

// Argument returns s as it is typed in a shell: bash, zsh, and where it is printable any other.
func Argument(s string) string {
	quoted := strconv.Quote(s)
	inside := quoted[1 : len(quoted)-1]
	switch unescaped := strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(inside); {
	case plain.MatchString(s) && s[0] != '=': // zsh looks for a command of the name after =
		return s
	case unescaped == s:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return "$'" + strings.NewReplacer(`\"`, `"`, "'", `\'`).Replace(inside) + "'"
}

// Sentence returns a text as it is, but for what could play tricks on a terminal.
func Sentence(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// Clock returns the time as people here read it.
func Clock(t time.Time) string { return t.Local().Format(time.DateTime) }

// Progress returns a bar that counts up to total on w, and is silent where w is no terminal.
// The description may be empty.
func Progress(w io.Writer, total int, description string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetVisibility(IsTerminal(w)),
		progressbar.OptionSetDescription(description), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
}

// Some returns the first ten of the lines, each after a line break, and how many more there are.
func Some(lines []string) string {
	const shown = 10
	if more := len(lines) - shown; more > 0 {
		lines = append(lines[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return "\n  " + strings.Join(lines, "\n  ")
}
