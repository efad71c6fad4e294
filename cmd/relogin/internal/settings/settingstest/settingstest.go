// Package settingstest reads settings in tests, as a command would.
package settingstest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// Read reads the settings of the groups from an environment, in the form of [os.Environ],
// and a command line. Those of the others are known, as another command's are.
func Read(environ, args []string, others []settings.Group, groups ...settings.Group) (*settings.Settings, error) {
	root := &cobra.Command{Use: "try", SilenceErrors: true, SilenceUsage: true}
	cmd, other := command("this"), command("other")
	root.AddCommand(cmd, other)
	settings.Declare(other, environ, others...)
	s := settings.Declare(cmd, environ, groups...)
	root.SetArgs(append([]string{"this"}, args...))
	return s, root.Execute()
}

func command(name string) *cobra.Command {
	return &cobra.Command{Use: name, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
}

// WriteFile returns the path of a settings file with the text. The file goes with the test.
func WriteFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
