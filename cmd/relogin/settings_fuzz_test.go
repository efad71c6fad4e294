package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// FuzzSettingsFile: no error shows what stands behind a key that holds a secret.
func FuzzSettingsFile(f *testing.F) {
	const canary = "c4n4ry/+="
	f.Add("gateway-authorization: Bearer ", "\n")
	f.Add("gateway-authorization: ", "\x7f\n")
	f.Add("redis-url: redis://:", "@host\nreplicas: 2\n")
	f.Add("nats-url: \"nats://me:", "\nx: [y\n")
	f.Add("gatewy-authorization: ", "\n")
	f.Add("gateway-authorization: |\n  x", "\n  y\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, before, after string) {
		path := filepath.Join(dir, "settings.yaml")
		if err := os.WriteFile(path, []byte(before+canary+after), 0o600); err != nil {
			t.Fatal(err)
		}
		var read workerSettings
		a := newApp(nil, nil, nil, nil)
		newRootCommand(a) // makes all settings known
		cmd := &cobra.Command{Use: "try", Args: noArguments, SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return nil }}
		a.declare(cmd, &read.NATS, &read.Redis, &read.Gateway, &read.Output)
		cmd.SetArgs([]string{"--config", path})
		err := cmd.Execute()
		if err != nil && strings.Contains(err.Error(), "c4n4ry") && isSecret(before) {
			t.Errorf("the error shows the secret: %v", err)
		}
		if err == nil && read.Gateway.Authorization != "" && read.Gateway.AuthorizationFile != "" {
			t.Error("two credentials were accepted")
		}
	})
}

// isSecret tells whether what follows is in the value of the last line's key, and that
// one holds a secret by itself.
func isSecret(before string) bool {
	line := before[strings.LastIndexByte(before, '\n')+1:]
	value, found := strings.CutPrefix(line, "gateway-authorization: ")
	return found && !strings.ContainsAny(value, ":#?[]{},&*!|>'\"%@`\r\v\f\u0085\u2028\u2029")
}

// FuzzRedactURL: whatever a password is made of, and whatever comes after it, the URL as
// an error shows it has none of it.
func FuzzRedactURL(f *testing.F) {
	f.Add("redis", "user", "/?#[]", "host:6379/0")
	f.Add("nats", "", "@,:%zz", "a,nats://b")
	f.Fuzz(func(t *testing.T, scheme, user, noise, rest string) {
		if strings.Contains(scheme+user+rest, "c4n4ry") || strings.Contains(scheme, "://") {
			return
		}
		shown := redactURL(scheme + "://" + user + ":" + noise + "c4n4ry" + noise + "@" + rest)
		if strings.Contains(shown, "c4n4ry") {
			t.Errorf("the password is in %s", shown)
		}
		if scheme == "redis" && shown != "redis://xxxxx@"+rest && !strings.ContainsAny(rest, "@?#") {
			t.Errorf("%s hides more than the password", shown)
		}
	})
}
