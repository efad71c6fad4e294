package pod

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		s, err := read("--config", path)
		if err != nil && strings.Contains(err.Error(), "c4n4ry") && isSecret(before) {
			t.Errorf("the error shows the secret: %v", err)
		}
		if err == nil && s.Gateway.Authorization != "" && s.Gateway.AuthorizationFile != "" {
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
