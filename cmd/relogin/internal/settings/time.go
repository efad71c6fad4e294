package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a duration from least to most, in the syntax of [ParseDuration].
func Duration(p *time.Duration, least, most time.Duration) Value {
	return NewValue("duration", func(s string) error {
		d, err := ParseDuration(s)
		switch {
		case err != nil:
			return errors.New("want a duration such as 90s, 5m or 7d")
		case d < least || d > most:
			return fmt.Errorf("want a duration from %s to %s", FormatDuration(least), FormatDuration(most))
		}
		*p = d
		return nil
	})
}

// Day is a day of 24 hours.
const Day = 24 * time.Hour

var daysPattern = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// ParseDuration reads Go's syntax, and days before it: 7d, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	parts := daysPattern.FindStringSubmatch(s)
	if parts == nil {
		return time.ParseDuration(s)
	}
	days, err := strconv.Atoi(parts[1])
	if err != nil || parts[2] == "" {
		return time.Duration(days) * Day, err
	}
	rest, err := time.ParseDuration(parts[2])
	if err == nil && rest < 0 {
		err = errors.New("a sign within")
	}
	return time.Duration(days)*Day + rest, err
}

// FormatDuration writes it without the parts that are zero.
func FormatDuration(d time.Duration) string {
	if d >= 2*Day && d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
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

// Time is a time, or how far it is from now: in the future, or in the past where sign
// is -1.
func Time(p *time.Time, sign int) Value {
	return NewValue("duration|time", func(s string) error {
		t, err := ParseTime(s, sign)
		if err == nil {
			*p = t
		}
		return err
	})
}

// ParseTime reads a time of RFC 3339, or a duration, as [ParseDuration] does, that is added to
// now, and subtracted from it where sign is negative.
func ParseTime(s string, sign int) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, errors.New("want a duration such as 90s, 5m or 7d, or a time such as 2026-01-31T15:04:05Z")
	}
	if sign < 0 {
		d = -d
	}
	return time.Now().Add(d), nil
}
