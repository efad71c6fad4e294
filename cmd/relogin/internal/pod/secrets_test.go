package pod

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/worker/job"
)

func TestProtector(t *testing.T) {
	receiver, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := receiver.PublicKey()
	unseal := func(s string) string {
		parts := strings.Split(s, ":")
		if len(parts) != 3 || parts[0] != "seal" {
			return "not sealed: " + s
		}
		box, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		text, err := receiver.Open(box, parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		value string
		want  []string
	}{
		"include": {"include", []string{"token", "data"}},
		"omit":    {"omit", []string{"", ""}},
		"seal":    {"seal:" + public, []string{"token", "data"}},
	} {
		l := &job.Login{WID: "w", Token: "token", Data: "data"}
		protect, err := protector(test.value)
		if err != nil {
			t.Fatal(err)
		}
		protect(l)
		if name == "seal" {
			l.Token, l.Data = unseal(l.Token), unseal(l.Data)
		}
		if l.WID != "w" || l.Token != test.want[0] || l.Data != test.want[1] {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// What can't be sealed must not go out in the clear.
func TestSealThatFailsOmits(t *testing.T) {
	if sealed := seal("token", "XBAD"); sealed != "" {
		t.Errorf("token %q", sealed)
	}
}
