package test

import (
	"fmt"
	"os"
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
		if binary, err = servers.Build(dir, buildFlags...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}
