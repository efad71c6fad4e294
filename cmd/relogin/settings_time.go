package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

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
	if err == nil && rest < 0 {
		err = errors.New("a sign within")
	}
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

// moment is a time, or how far it is from now: in the future, or in the past where sign
// is -1.
func moment(p *time.Time, sign int) value {
	return newValue("duration|time", func(s string) error {
		t, err := parseMoment(s, sign)
		if err == nil {
			*p = t
		}
		return err
	})
}

func parseMoment(s string, sign int) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := parseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, errors.New("want a duration such as 90s, 5m or 7d, or a time such as 2026-01-31T15:04:05Z")
	}
	if sign < 0 {
		d = -d
	}
	return time.Now().Add(d), nil
}
