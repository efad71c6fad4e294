package main

import (
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
			return fmt.Errorf("want a number from 0 to %v", most)
		}
		*p = n
		return nil
	})
}

func duration(p *time.Duration, least, most time.Duration) value {
	return newValue("duration", func(s string) error {
		d, err := parseDuration(s)
		switch {
		case err != nil:
			return errors.New("want a duration such as 90s, 5m or 7d")
		case d < least || d > most:
			return fmt.Errorf("want a duration from %s to %s", formatDuration(least), formatDuration(most))
		}
		*p = d
		return nil
	})
}

const day = 24 * time.Hour

var daysPattern = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// parseDuration reads Go's syntax, and days before it: 7d, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	parts := daysPattern.FindStringSubmatch(s)
	if parts == nil {
		return time.ParseDuration(s)
	}
	days, err := strconv.Atoi(parts[1])
	if err != nil || parts[2] == "" {
		return time.Duration(days) * day, err
	}
	rest, err := time.ParseDuration(parts[2])
	return time.Duration(days)*day + rest, err
}

// formatDuration writes it without the parts that are zero.
func formatDuration(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
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

// address is where to listen: host:port.
func address(p *string) value {
	return newValue("host:port", func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
			return errors.New("want host:port, such as 127.0.0.1:8080, or :8080 for all interfaces")
		}
		*p = s
		return nil
	})
}

// plainURL is one URL without user, query and fragment.
func plainURL(p *string) value {
	v := newValue("URL", func(s string) error {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return errors.New("want http://host:port or https://host:port")
		case u.User != nil:
			return errors.New("want a URL without user and password: they belong into the authorization")
		case u.RawQuery != "" || u.Fragment != "":
			return errors.New("want a URL without query and fragment")
		}
		*p = s
		return nil
	})
	v.shown = func(s string) string { return strconv.Quote(redactURL(s)) }
	return v
}

// serverURLs is one URL or several, comma-separated; only the first must have a scheme.
func serverURLs(p *string, schemes ...string) value {
	v := newValue("URL", func(s string) error {
		for i, part := range strings.Split(s, ",") {
			part = strings.TrimSpace(part)
			if i > 0 && !strings.Contains(part, "://") {
				part = schemes[0] + "://" + part
			}
			u, err := url.Parse(part)
			if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
				return fmt.Errorf("want %s://host:port, or several, comma-separated; schemes are %s",
					schemes[0], alternatives(schemes))
			}
		}
		*p = s
		return nil
	})
	v.shown = func(s string) string { return strconv.Quote(redactURL(s)) }
	return v
}

// redactURL hides user and password, also in what is no URL, and the query.
func redactURL(s string) string {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		scheme, _, found := strings.Cut(s[:at], "://")
		if found {
			scheme += "://"
		} else {
			scheme = ""
		}
		s = scheme + "xxxxx" + s[at:]
	}
	s, _, _ = strings.Cut(s, "?")
	return s
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

// moment is a time, or how far it is from now: in the future, or in the past where sign
// is -1.
func moment(p *time.Time, sign time.Duration) value {
	return newValue("duration|time", func(s string) error {
		t, err := parseMoment(s, sign)
		if err == nil {
			*p = t
		}
		return err
	})
}

func parseMoment(s string, sign time.Duration) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := parseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, errors.New("want a duration such as 90s, 5m or 7d, or a time such as 2026-01-31T15:04:05Z")
	}
	return time.Now().Add(sign * d), nil
}
