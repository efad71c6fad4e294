package gateway

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// plainNumber writes whole numbers in one way: 1000.0, " 1000" and 1e3 become 1000. Of
// anything else it takes only the white space around. The result shares no memory with s.
func plainNumber(s string) string {
	s = strings.TrimSpace(s)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 || strings.Trim(s, "0123456789.eE+-") != "" {
		return strings.Clone(s)
	}
	return strconv.FormatInt(int64(f), 10)
}

const minSecretBytes = 7 // what is shorter, such as a scheme, is hidden in no text

// newRedactor hides the credential, with or without its scheme, in what the gateway wrote.
func newRedactor(authorization string) *strings.Replacer {
	var pairs []string
	for _, secret := range append([]string{authorization}, strings.Fields(authorization)...) {
		if len(secret) >= minSecretBytes {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// cut returns the first n bytes of s at most, and no half character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
