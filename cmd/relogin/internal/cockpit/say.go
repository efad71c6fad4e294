package cockpit

import (
	"fmt"
	"strings"
)

// Phrase is a text that is still in its parts, so that it can be said in another language.
type Phrase struct {
	Format string
	Args   []any // among them may be a Phrase
}

// String returns the phrase in English.
func (p Phrase) String() string {
	if len(p.Args) == 0 {
		return p.Format
	}
	return fmt.Sprintf(p.Format, p.Args...)
}

// Phrases are said one after the other.
type Phrases []Phrase

// String returns the phrases in English.
func (all Phrases) String() string {
	var b strings.Builder
	for _, p := range all {
		b.WriteString(p.String())
	}
	return b.String()
}

func phrase(format string, args ...any) Phrase { return Phrase{format, args} }

// say returns a verdict that says this, with its first letter in upper case.
func say(level Level, format string, args ...any) Verdict {
	p := phrase(format, args...)
	return Verdict{Level: level, Text: capital(p.String()), Said: p}
}

// to returns the verdict with what to do.
func (v Verdict) to(do string) Verdict {
	v.Do = do
	return v
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
