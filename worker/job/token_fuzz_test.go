package job

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

var tokenPattern = regexp.MustCompile(`^(~[A-Za-z0-9_-]*|[A-Za-z0-9_-]+)$`)

// FuzzAccountToken undoes the token, as a reader of subjects does: so no two accounts
// share one.
func FuzzAccountToken(f *testing.F) {
	for _, wcID := range []string{"wxid_a", "a.b", "~YS5i", "", "*", ">", "微信", "a\x00\xff", "$SYS"} {
		f.Add(wcID)
	}
	f.Fuzz(func(t *testing.T, wcID string) {
		token := AccountToken(wcID)
		if !tokenPattern.MatchString(token) {
			t.Fatalf("%q is not one token of a subject", token)
		}
		back := token
		if encoded, found := strings.CutPrefix(token, "~"); found {
			raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			back = string(raw)
		}
		if back != wcID {
			t.Errorf("the token %q is of %q, not of %q", token, back, wcID)
		}
		if direct := regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(wcID); direct != (token == wcID) {
			t.Errorf("the token of %q is %q", wcID, token)
		}
	})
}

// FuzzEventID: the same job has the same event, and another account or id another.
func FuzzEventID(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("1:a", "", "", "1:a")
	f.Fuzz(func(t *testing.T, wcID, id, otherWcID, otherID string) {
		one, other := Job{WcID: wcID, ID: id}, Job{WcID: otherWcID, ID: otherID}
		same := wcID == otherWcID && id == otherID
		if (one.EventID() == other.EventID()) != same {
			t.Errorf("%q, %q and %q, %q have the events %s and %s", wcID, id, otherWcID, otherID, one.EventID(), other.EventID())
		}
		one.Tenant, one.Type = "acme", 9
		if again := (&Job{WcID: wcID, ID: id}); one.EventID() != again.EventID() {
			t.Error("the event's id depends on more than the account and the job's id")
		}
	})
}
