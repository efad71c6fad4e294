package settings

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is how a setting is read and shown.
type Value struct {
	metavar string              // stands for the value in the help; empty: the flag needs no value
	set     func(string) error  // stores the value
	shown   func(string) string // the value as an error may show it
	words   []string            // all that it can be, for completion; empty: something else
	file    bool                // it is the name of a file
}

// NewValue returns a value that is stored in p, and that errors show in quotes. An error of
// parse says what is wanted, and does not repeat the text.
func NewValue[T any](p *T, metavar string, parse func(string) (T, error)) Value {
	return Value{metavar: metavar, shown: strconv.Quote, set: func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = v
		}
		return err
	}}
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
	v := NewValue(p, "file", func(s string) (string, error) {
		info, err := os.Stat(s)
		switch {
		case err != nil:
			return "", fmt.Errorf("want a file: %w", errors.Unwrap(err))
		case info.IsDir():
			return "", errors.New("want a file: it is a directory")
		}
		return s, nil
	})
	v.file = true
	return v
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
	v := NewValue(p, strings.Join(names, "|"), func(s string) (T, error) {
		if !slices.Contains(names, s) {
			return "", fmt.Errorf("want %s", alternatives(names))
		}
		return T(s), nil
	})
	v.words = names
	return v
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

// Day is a day of 24 hours.
const Day = 24 * time.Hour

// Duration is a duration from least to most, in the syntax of [ParseDuration].
func Duration(p *time.Duration, least, most time.Duration) Value {
	return NewValue(p, "duration", func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		switch {
		case err != nil:
			return 0, errors.New("want a duration such as 90s, 5m or 7d")
		case d < least || d > most:
			return 0, fmt.Errorf("want a duration from %s to %s", FormatDuration(least), FormatDuration(most))
		}
		return d, nil
	})
}

// ParseDuration reads Go's syntax, and days before it: 7d, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	days, rest, found := strings.Cut(s, "d")
	if !found {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(cmp.Or(rest, "0"))
	if err == nil && d < 0 {
		err = errors.New("a sign within")
	}
	return time.Duration(n)*Day + d, err
}

// FormatDuration writes it without the parts that are zero.
func FormatDuration(d time.Duration) string {
	if d >= 2*Day && d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
	}
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}

// Time is a time, or how far it is from now: in the future, or in the past where sign
// is -1.
func Time(p *time.Time, sign int) Value {
	return NewValue(p, "duration|time", func(s string) (time.Time, error) { return ParseTime(s, sign) })
}

// ParseTime reads a time of RFC 3339, or a duration, as [ParseDuration] does, that is added to
// now, and subtracted from it where sign is -1.
func ParseTime(s string, sign int) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, errors.New("want a duration such as 90s, 5m or 7d, or a time such as 2026-01-31T15:04:05Z")
	}
	return time.Now().Add(time.Duration(sign) * d), nil
}

// Address is where to listen: host:port.
func Address(p *string) Value {
	return NewValue(p, "host:port", func(s string) (string, error) {
		_, port, err := net.SplitHostPort(s)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return "", errors.New("want host:port, such as 127.0.0.1:8080, or :8080 for all interfaces")
		}
		return s, nil
	})
}

// URL is one URL without user, query and fragment.
func URL(p *string) Value {
	return NewValue(p, "URL", func(s string) (string, error) {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || !hasHost(u):
			return "", errors.New("want http://host:port or https://host:port")
		case u.User != nil:
			return "", errors.New("want a URL without user and password: they belong into the authorization")
		case u.RawQuery != "" || u.Fragment != "":
			return "", errors.New("want a URL without query and fragment")
		}
		return s, nil
	}).ShowAs(quoteRedacted)
}

// ServerURLs is one URL or several, comma-separated; only the first must have a scheme.
func ServerURLs(p *string, schemes ...string) Value {
	return NewValue(p, "URL", func(s string) (string, error) {
		for i, part := range strings.Split(s, ",") {
			part = strings.TrimSpace(part)
			if i > 0 && !strings.Contains(part, "://") {
				part = schemes[0] + "://" + part
			}
			u, err := url.Parse(part)
			if err != nil || !slices.Contains(schemes, u.Scheme) || !hasHost(u) {
				return "", fmt.Errorf("want %s://host:port, or several, comma-separated; schemes are %s",
					schemes[0], alternatives(schemes))
			}
		}
		return s, nil
	}).ShowAs(quoteRedacted)
}

func quoteRedacted(s string) string { return strconv.Quote(RedactURL(s)) }

// hasHost tells whether there is a host, and not the password of a URL that lacks one.
func hasHost(u *url.URL) bool {
	name := u.Hostname()
	return name != "" && (strings.HasPrefix(u.Host, "[") || !strings.Contains(name, ":"))
}

var schemePattern = regexp.MustCompile(`(?s)^.*?://`)

// RedactURL hides user and password, also in what is no URL, and the query. A URL that
// lacks its host has the password in the host's place.
func RedactURL(s string) string {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		s = schemePattern.FindString(s[:at]) + "xxxxx" + s[at:]
	} else if slices.ContainsFunc(strings.Split(s, ","), lacksHost) {
		return schemePattern.FindString(s) + "xxxxx"
	}
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	return s
}

// lacksHost tells of a part with a colon whether it has no host before that.
func lacksHost(part string) bool {
	part = strings.TrimSpace(part)
	u, err := url.Parse("any://" + strings.TrimPrefix(part, schemePattern.FindString(part)))
	return strings.Contains(part, ":") && (err != nil || u.Host != "" && !hasHost(u))
}
