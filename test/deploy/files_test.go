package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyFile writes a file of deploy/ into dir as an operator does: with what the pairs
// replace. It is a defect of the file when one of them is not there, or a placeholder is
// left, so that the tests start no other configuration than the one that is shipped.
func copyFile(t *testing.T, name, dir string, pairs ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s does not have %q", name, pairs[i])
		}
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	for line := range strings.Lines(text) {
		for _, left := range []string{"CHANGE_ME", "/etc/", "/var/"} {
			if strings.Contains(line, left) && !strings.HasPrefix(line, "#") {
				t.Fatalf("%s: nothing replaces %s in %s", name, left, line)
			}
		}
	}
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
