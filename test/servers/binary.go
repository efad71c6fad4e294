package servers

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles relogin into dir, with more flags of go build, and returns its path.
func Build(dir string, flags ...string) (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if err := readSources(root); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "relogin")
	args := append([]string{"build", "-o", binary}, flags...)
	if out, err := exec.Command("go", append(args, filepath.Join(root, "cmd", "relogin"))...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build relogin: %w\n%s", err, out)
	}
	return binary, nil
}

// BuildNATS compiles the nats-server of go.mod's version into dir, and returns its path.
func BuildNATS(dir string) (string, error) {
	binary := filepath.Join(dir, "nats-server")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return binary, nil
}

// readSources looks at what the binary is built from, so that go test does not take an
// old result for the binary's: it keeps track of the files that the tests look at.
func readSources(root string) error {
	for _, dir := range []string{"cmd", "worker", "queue", "cache"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
