package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without passwords nobody but this machine is let in, and no weak secret signs sessions.
func TestConsoleIsNotOpenToAll(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(users, []byte("- name: anna\n  role: operator\n  hash: s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--http-addr", ":8081"}, "--users-file"},
		{[]string{"--http-addr", "0.0.0.0:8081"}, "--users-file"},
		{[]string{"--http-addr", "[::]:8081"}, "--users-file"},
		{[]string{"--http-addr", "console.example:8081"}, "--users-file"},
		{[]string{"--http-addr", ":8081", "--users-file", users}, "want a bcrypt hash"},
		{[]string{"--session-secret", "s3cret"}, "want 32 bytes or more"},
	} {
		got := relogin(t, nil, "", append([]string{"console"}, test.args...)...)
		if got.status != exitUsage || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, "s3cret") {
			t.Errorf("%v: status %d: %s", test.args, got.status, got.stderr)
		}
	}
}
