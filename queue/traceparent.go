package queue

import (
	"strings"

	"github.com/nats-io/nats.go"
)

const (
	traceparent = "traceparent"

	traceparentLen    = 55  // bytes, of version 00 and of what later ones start with
	maxTraceparentLen = 128 // bytes
	hexDigits         = "0123456789abcdef"
)

// traceContext returns the W3C trace context that the headers carry, "" for none or one
// that breaks the recommendation: https://www.w3.org/TR/trace-context/#traceparent-header.
func traceContext(header nats.Header) string {
	if values := header[traceparent]; len(values) == 1 && isTraceparent(values[0]) {
		return values[0]
	}
	return ""
}

// isTraceparent reads version-traceid-parentid-flags. A later version may have more after
// a dash.
func isTraceparent(s string) bool {
	if len(s) < traceparentLen || len(s) > maxTraceparentLen {
		return false
	}
	version, trace, parent, flags, rest := s[:2], s[3:35], s[36:52], s[53:55], s[55:]
	return s[2] == '-' && s[35] == '-' && s[52] == '-' &&
		isHex(version) && version != "ff" && isHex(trace) && !isZero(trace) &&
		isHex(parent) && !isZero(parent) && isHex(flags) &&
		(rest == "" || version != "00" && rest[0] == '-' && isVisible(rest))
}

func isHex(s string) bool  { return strings.Trim(s, hexDigits) == "" }
func isZero(s string) bool { return strings.Trim(s, "0") == "" }

func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
