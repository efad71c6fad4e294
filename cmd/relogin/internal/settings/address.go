package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

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

// RedactURL hides user and password, also in what is no URL, and the query. A URL that
// lacks its host has the password in the host's place.
func RedactURL(s string) string {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		s = schemeOf(s[:at]) + "xxxxx" + s[at:]
	} else if slices.ContainsFunc(strings.Split(s, ","), lacksHost) {
		return schemeOf(s) + "xxxxx"
	}
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	return s
}

// schemeOf returns the scheme with its slashes, "" where there is none.
func schemeOf(s string) string {
	scheme, _, found := strings.Cut(s, "://")
	if !found {
		return ""
	}
	return scheme + "://"
}

// lacksHost tells of a part with a colon whether it has no host before that.
func lacksHost(part string) bool {
	part = strings.TrimSpace(part)
	u, err := url.Parse("any://" + strings.TrimPrefix(part, schemeOf(part)))
	return strings.Contains(part, ":") && (err != nil || u.Host != "" && !hasHost(u))
}
