package deploy

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

// binary is the relogin that the tests run. Those that go test -short leaves in need none.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		servers.Exit(m.Run())
	}
	servers.Exit(func() int {
		dir, err := os.MkdirTemp("", "relogin-deploy")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if binary, err = servers.Build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}
