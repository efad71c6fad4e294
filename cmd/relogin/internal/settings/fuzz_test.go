package settings_test

import (
	"strings"
	"testing"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// FuzzRedactURL: whatever a password is made of, and whatever comes after it, the URL as
// an error shows it has none of it.
func FuzzRedactURL(f *testing.F) {
	f.Add("redis", "user", "/?#[]", "host:6379/0")
	f.Add("nats", "", "@,:%zz", "a,nats://b")
	f.Fuzz(func(t *testing.T, scheme, user, noise, rest string) {
		if strings.Contains(scheme+user+rest, "c4n4ry") || strings.Contains(scheme, "://") {
			return
		}
		shown := settings.RedactURL(scheme + "://" + user + ":" + noise + "c4n4ry" + noise + "@" + rest)
		if strings.Contains(shown, "c4n4ry") {
			t.Errorf("the password is in %s", shown)
		}
		if scheme == "redis" && shown != "redis://xxxxx@"+rest && !strings.ContainsAny(rest, "@?#") {
			t.Errorf("%s hides more than the password", shown)
		}
	})
}
