package settings

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

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
