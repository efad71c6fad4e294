package deploy

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the relogin that the tests run.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "relogin-deploy")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := readSources(); err != nil {
			panic(err)
		}
		binary = filepath.Join(dir, "relogin")
		if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/relogin").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build relogin: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// readSources looks at what the binary is built from, so that go test does not take an
// old result for the binary's: it keeps track of the files that the tests look at.
func readSources() error {
	for _, dir := range []string{"cmd", "worker", "queue", "cache"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ fs.DirEntry, err error) error {
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
