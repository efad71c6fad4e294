package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Value is how a setting is read and shown.
type Value struct {
	metavar  string              // stands for the value in the help
	isSwitch bool                // the flag needs no value
	set      func(string) error  // stores the value; its error says what is wanted, and does not repeat it
	shown    func(string) string // the value as an error may show it
}

// NewValue returns a value that errors show in quotes. What set returns says what is wanted,
// and does not repeat the text.
func NewValue(metavar string, set func(string) error) Value {
	return Value{metavar: metavar, set: set, shown: strconv.Quote}
}

// Text is any text without control characters.
func Text(p *string) Value {
	return NewValue("text", func(s string) error {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("want text without line breaks and control characters")
		}
		*p = s
		return nil
	})
}

// Secret is text that no error shows.
func Secret(p *string) Value {
	v := Text(p)
	v.shown = func(string) string { return "(hidden)" }
	return v
}

// Matching is text that fits the pattern.
func Matching(p *string, metavar string, pattern *regexp.Regexp, wanted string) Value {
	return NewValue(metavar, func(s string) error {
		if !pattern.MatchString(s) {
			return errors.New("want " + wanted)
		}
		*p = s
		return nil
	})
}

// File is the path of a file that is there.
func File(p *string) Value {
	return NewValue("file", func(s string) error {
		info, err := os.Stat(s)
		if err != nil {
			return fmt.Errorf("want a file: %w", errors.Unwrap(err))
		}
		if info.IsDir() {
			return errors.New("want a file: it is a directory")
		}
		*p = s
		return nil
	})
}

// Bool is true or false; a flag without a value is true.
func Bool(p *bool) Value {
	v := NewValue("", func(s string) (err error) {
		if *p, err = strconv.ParseBool(s); err != nil {
			return errors.New("want true or false")
		}
		return nil
	})
	v.isSwitch = true
	return v
}

// Int is a number from least to most.
func Int(p *int, least, most int) Value {
	return NewValue("number", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("want a number from %d to %d", least, most)
		}
		*p = n
		return nil
	})
}

// Rate is a number from 0 to most, which may have a fraction.
func Rate(p *float64, most float64) Value {
	return NewValue("number", func(s string) error {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0 && n <= most) {
			return fmt.Errorf("want a number from 0 to %.0f", most)
		}
		*p = n
		return nil
	})
}

// Choice is one of several words.
func Choice[T ~string](p *T, words ...T) Value {
	var names []string
	for _, word := range words {
		names = append(names, string(word))
	}
	return NewValue(strings.Join(names, "|"), func(s string) error {
		if !slices.Contains(names, s) {
			return fmt.Errorf("want %s", alternatives(names))
		}
		*p = T(s)
		return nil
	})
}

// alternatives returns "a, b or c".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Choices are several of them, comma-separated; the flag may be repeated.
func Choices[T ~string](p *[]T, words ...T) Value {
	var one T
	single := Choice(&one, words...)
	v := NewValue("word,…", func(s string) error {
		for word := range strings.SplitSeq(s, ",") {
			if err := single.set(strings.TrimSpace(word)); err != nil {
				return err
			}
			*p = append(*p, one)
		}
		return nil
	})
	return v
}

// Pairs are key=value; the flag may be repeated.
func Pairs(p *map[string]string) Value {
	return NewValue("key=value", func(s string) error {
		key, text, found := strings.Cut(s, "=")
		if !found || key == "" {
			return errors.New("want key=value")
		}
		if *p == nil {
			*p = map[string]string{}
		}
		(*p)[key] = text
		return nil
	})
}

// ShowAs has errors show the value as the function returns it, where it may hold a secret.
func (v Value) ShowAs(shown func(string) string) Value {
	v.shown = shown
	return v
}
