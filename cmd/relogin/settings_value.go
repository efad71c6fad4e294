package main

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

// value is how a setting is read and shown.
type value struct {
	metavar  string              // stands for the value in the help
	isSwitch bool                // the flag needs no value
	set      func(string) error  // stores the value; its error says what is wanted, and does not repeat it
	shown    func(string) string // the value as an error may show it
}

func newValue(metavar string, set func(string) error) value {
	return value{metavar: metavar, set: set, shown: strconv.Quote}
}

// text is any text without control characters.
func text(p *string) value {
	return newValue("text", func(s string) error {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("want text without line breaks and control characters")
		}
		*p = s
		return nil
	})
}

// secret is text that no error shows.
func secret(p *string) value {
	v := text(p)
	v.shown = func(string) string { return "(hidden)" }
	return v
}

// matching is text that fits the pattern.
func matching(p *string, metavar string, pattern *regexp.Regexp, wanted string) value {
	return newValue(metavar, func(s string) error {
		if !pattern.MatchString(s) {
			return errors.New("want " + wanted)
		}
		*p = s
		return nil
	})
}

// file is the path of a file that is there.
func file(p *string) value {
	return newValue("file", func(s string) error {
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

func toggle(p *bool) value {
	v := newValue("", func(s string) (err error) {
		if *p, err = strconv.ParseBool(s); err != nil {
			return errors.New("want true or false")
		}
		return nil
	})
	v.isSwitch = true
	return v
}

func number(p *int, least, most int) value {
	return newValue("number", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("want a number from %d to %d", least, most)
		}
		*p = n
		return nil
	})
}

func rate(p *float64, most float64) value {
	return newValue("number", func(s string) error {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0 && n <= most) {
			return fmt.Errorf("want a number from 0 to %.0f", most)
		}
		*p = n
		return nil
	})
}

// choice is one of several words.
func choice[T ~string](p *T, words ...T) value {
	var names []string
	for _, word := range words {
		names = append(names, string(word))
	}
	return newValue(strings.Join(names, "|"), func(s string) error {
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

// choices are several of them, comma-separated; the flag may be repeated.
func choices[T ~string](p *[]T, words ...T) value {
	var one T
	single := choice(&one, words...)
	v := newValue("word,…", func(s string) error {
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

// pairs are key=value; the flag may be repeated.
func pairs(p *map[string]string) value {
	return newValue("key=value", func(s string) error {
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
