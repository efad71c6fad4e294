package settings

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Value is how a setting is read and shown.
type Value struct {
	metavar string              // stands for the value in the help; empty: the flag needs no value
	set     func(string) error  // stores the value
	shown   func(string) string // the value as an error may show it
}

// NewValue returns a value that is stored in p, and that errors show in quotes. What parse
// returns as an error says what is wanted, and does not repeat the text.
func NewValue[T any](p *T, metavar string, parse func(string) (T, error)) Value {
	set := func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = v
		}
		return err
	}
	return Value{metavar, set, strconv.Quote}
}

// ShowAs has errors show the value as the function returns it, where it may hold a secret.
func (v Value) ShowAs(shown func(string) string) Value {
	v.shown = shown
	return v
}

// Matching is text that fits the pattern.
func Matching(p *string, metavar string, pattern *regexp.Regexp, wanted string) Value {
	return NewValue(p, metavar, func(s string) (string, error) {
		if !pattern.MatchString(s) {
			return "", errors.New("want " + wanted)
		}
		return s, nil
	})
}

var plainText = regexp.MustCompile(`^\P{Cc}*$`)

// Text is any text without control characters.
func Text(p *string) Value {
	return Matching(p, "text", plainText, "text without line breaks and control characters")
}

// Secret is text that no error shows.
func Secret(p *string) Value {
	return Text(p).ShowAs(func(string) string { return "(hidden)" })
}

// File is the path of a file that is there.
func File(p *string) Value {
	return NewValue(p, "file", func(s string) (string, error) {
		info, err := os.Stat(s)
		if err == nil && info.IsDir() {
			return "", errors.New("want a file: it is a directory")
		}
		if err != nil {
			return "", fmt.Errorf("want a file: %w", errors.Unwrap(err))
		}
		return s, nil
	})
}

// Bool is true or false; a flag without a value is true.
func Bool(p *bool) Value {
	return NewValue(p, "", func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			err = errors.New("want true or false")
		}
		return b, err
	})
}

// Int is a number from least to most.
func Int(p *int, least, most int) Value { return number(p, strconv.Atoi, least, most) }

// Rate is a number from 0 to most, which may have a fraction.
func Rate(p *float64, most float64) Value {
	return number(p, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, 0, most)
}

func number[T int | float64](p *T, parse func(string) (T, error), least, most T) Value {
	return NewValue(p, "number", func(s string) (T, error) {
		n, err := parse(s)
		if err != nil || !(n >= least && n <= most) { // NaN is neither
			return 0, fmt.Errorf("want a number from %.0f to %.0f", float64(least), float64(most))
		}
		return n, nil
	})
}

// Choice is one of several words.
func Choice[T ~string](p *T, words ...T) Value {
	var names []string
	for _, word := range words {
		names = append(names, string(word))
	}
	return NewValue(p, strings.Join(names, "|"), func(s string) (T, error) {
		if !slices.Contains(names, s) {
			return "", fmt.Errorf("want %s", alternatives(names))
		}
		return T(s), nil
	})
}

// alternatives returns "a, b or c" for two words or more.
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Choices are several of them, comma-separated; the flag may be repeated.
func Choices[T ~string](p *[]T, words ...T) Value {
	return NewValue(p, "word,…", func(s string) ([]T, error) {
		all := *p
		for word := range strings.SplitSeq(s, ",") {
			var one T
			if err := Choice(&one, words...).set(strings.TrimSpace(word)); err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	})
}

// Pairs are key=value; the flag may be repeated.
func Pairs(p *map[string]string) Value {
	return NewValue(p, "key=value", func(s string) (map[string]string, error) {
		key, text, found := strings.Cut(s, "=")
		if !found || key == "" {
			return nil, errors.New("want key=value")
		}
		if *p == nil {
			*p = map[string]string{}
		}
		(*p)[key] = text
		return *p, nil
	})
}
