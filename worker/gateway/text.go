package gateway

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// text is a JSON string, or a number as it is written; any other value reads as "".
// It is valid UTF-8.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = readText(raw)
	return nil
}

// hasText tells whether readText finds more than "".
func hasText(raw []byte) bool { return isText(raw) && string(raw) != `""` }

func isText(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

func readText(raw []byte) text {
	if !isText(raw) {
		return ""
	}
	if raw[0] != '"' {
		return text(raw)
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return text(inner) // as encoding/json reads it
	}
	var s string
	_ = json.Unmarshal(raw, &s) // raw is a part of valid JSON
	return text(s)
}

// plainNumber writes whole numbers in one way: 1000.0 and 1e3 become 1000. Anything
// else is returned as it is.
func plainNumber(s string) string {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return s
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
