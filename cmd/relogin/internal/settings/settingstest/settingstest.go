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
	registry := settings.NewRegistry(environ)
	registry.Declare(command(), others...)
	cmd := command()
	s := registry.Declare(cmd, groups...)
	cmd.SetArgs(append([]string{}, args...))
	return s, cmd.Execute()
}

func command() *cobra.Command {
	return &cobra.Command{
		Use: "try", Args: cobra.NoArgs, SilenceErrors: true, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
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
