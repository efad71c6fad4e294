package queue

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/relogin/relogin/worker/job"
)

// matches tells whether the subject is one of the pattern's, as NATS does.
func matches(subject, pattern string) bool {
	have, want := strings.Split(subject, "."), strings.Split(pattern, ".")
	return slices.EqualFunc(have, want, func(h, w string) bool { return w == "*" || h == w })
}

// FuzzSubjects: whatever an account is named, its events have one subject, which its own
// watchers match and no other account's.
func FuzzSubjects(f *testing.F) {
	f.Add("wxid_a", "wxid_b")
	f.Add("a.b", "~YS5i")
	f.Add("*", ">")
	f.Add("", "~")
	f.Fuzz(func(t *testing.T, wcID, other string) {
		n := names("relogin")
		if wcID == other || len(wcID) > job.MaxJobBytes {
			return
		}
		for _, outcome := range job.Outcomes() {
			subject := n.eventSubject(outcome, wcID)
			if !server.IsValidLiteralSubject(subject) || strings.Count(subject, ".") != 3 {
				t.Fatalf("%q is no subject of four tokens", subject)
			}
			for _, pattern := range []string{"relogin.events.*.*", n.account(wcID), n.accountEvents(wcID)} {
				if !server.IsValidSubject(pattern) || !matches(subject, pattern) {
					t.Errorf("%q does not match %q", pattern, subject)
				}
			}
			for _, pattern := range []string{n.account(other), n.accountEvents(other), n.jobSubject(job.Urgent), n.deadSubject(job.Normal)} {
				if matches(subject, pattern) {
					t.Errorf("%q of %q matches %q", pattern, other, subject)
				}
			}
		}
		freed := n.freed(job.AccountToken(wcID))
		if !server.IsValidLiteralSubject(freed) || !matches(freed, n.account(wcID)) || matches(freed, n.account(other)) || matches(freed, "relogin.events.*.*") {
			t.Errorf("the subject %q", freed)
		}
	})
}

// FuzzWakes: an event wakes those who watch its account, and nobody else.
func FuzzWakes(f *testing.F) {
	f.Add("wxid_a", "a.b")
	f.Add("~", "")
	f.Fuzz(func(t *testing.T, wcID, other string) {
		if wcID == other {
			return
		}
		q := &Queue{client: client{names: "relogin"}}
		var woken []string
		accounts := map[string]*nats.Subscription{wcID: {}, other: {}}
		for account, sub := range accounts {
			q.watches.Store(sub, watch{
				ended: func() { woken = append(woken, "ended "+account) },
				freed: func() { woken = append(woken, "freed "+account) },
			})
		}
		for _, msg := range []*nats.Msg{
			{Subject: q.names.eventSubject(job.Failed, wcID), Header: nats.Header{cePrompted: {"true"}}},
			{Subject: q.names.eventSubject(job.Expired, wcID), Header: nats.Header{cePrompted: {"false"}}},
			{Subject: q.names.freed(job.AccountToken(wcID))},
		} {
			for account, sub := range accounts {
				if matches(msg.Subject, q.names.account(account)) {
					msg.Sub = sub
					q.wake(msg)
				}
			}
		}
		if want := []string{"ended " + wcID, "freed " + wcID}; !slices.Equal(woken, want) {
			t.Errorf("woken: %q, want %q", woken, want)
		}
	})
}

// FuzzHeaderValue undoes what stands in a header: nothing is lost, and nothing in it
// ends the header.
func FuzzHeaderValue(f *testing.F) {
	for _, s := range []string{"wxid.hand made", "a\r\nNats-Msg-Id: x", `100%"`, "微信\xff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		value := headerValue(s)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' }) {
			t.Errorf("%q is not allowed in a header", value)
		}
		if back, err := url.PathUnescape(value); err != nil || back != s {
			t.Errorf("%q reads as %q, not as %q: %v", value, back, s, err)
		}
	})
}

// FuzzReason: the reason of a dead letter is a header of one line.
func FuzzReason(f *testing.F) {
	f.Add("two\r\nlines", uint16(1))
	f.Add("\x00\u0085\xff", uint16(2000))
	f.Fuzz(func(t *testing.T, s string, times uint16) {
		reason := oneLine(strings.Repeat(s, int(times)%4096), maxReason)
		if len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
			t.Errorf("%d bytes: %q", len(reason), reason)
		}
	})
}
