package queue

import (
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

const goodTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceparent(t *testing.T) {
	for value, want := range map[string]bool{
		goodTrace: true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":       true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":       true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what":  true,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what":  false,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-w\xff": false,
		goodTrace + "-what": false,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0":  false,
		"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01": false,
		"": false, "00-1-2-01": false, strings.Repeat("\x01", 65_000): false,
		"cc" + goodTrace[2:] + "-" + strings.Repeat("x", 72): true,
		"cc" + goodTrace[2:] + "-" + strings.Repeat("x", 73): false,
	} {
		if got := traceContext(nats.Header{"traceparent": {value}}); got != "" != want || want && got != value {
			t.Errorf("%.80q: %.80q", value, got)
		}
	}
	if got := traceContext(nats.Header{"traceparent": {goodTrace, goodTrace}}); got != "" {
		t.Errorf("two of them: %q", got)
	}
}

// A job's trace context goes into its event, and what is none does not.
func TestTraceparentOfADelivery(t *testing.T) {
	nc := connect(t, servers.NATS(t))
	q := open(t, nc, config())
	for value, want := range map[string]string{goodTrace: goodTrace, strings.Repeat("\x01", 60_000): ""} {
		d := raw(t, q, "traceparent: "+value, []byte("x"))
		if d.Traceparent != want {
			t.Errorf("%.80q: the delivery has %.80q", value, d.Traceparent)
		}
		d.Ack()
		e := event("a", d.StoredAt.String(), job.Failed)
		e.Traceparent = d.Traceparent
		if err := q.Publish(t.Context(), e); err != nil {
			t.Errorf("%.80q: %v", value, err)
		}
	}
}

var traceparentPattern = regexp.MustCompile(`^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?)$`)

// FuzzTraceparent holds the reader against a pattern.
func FuzzTraceparent(f *testing.F) {
	f.Add(goodTrace)
	f.Add("cc" + goodTrace[2:] + "-what")
	f.Add("ff" + goodTrace[2:])
	f.Fuzz(func(t *testing.T, s string) {
		want := traceparentPattern.MatchString(s) && len(s) <= 128 && s[:2] != "ff" && (s[:2] != "00" || len(s) == 55) &&
			strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
		if got := isTraceparent(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	})
}
