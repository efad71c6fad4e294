package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

// binary is the relogin that the tests run.
var binary string

func TestMain(m *testing.M) {
	servers.Exit(func() int {
		dir, err := os.MkdirTemp("", "relogin-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "relogin")
		args := append([]string{"build", "-o", binary}, buildFlags...)
		if out, err := exec.Command("go", append(args, "../cmd/relogin")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build relogin: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}
