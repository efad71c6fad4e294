// Command relogin turns relogin jobs on NATS into confirmations at a WeChat gateway: at
// most one at a time for each account, and one result event for each job.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/relogin/relogin/cmd/relogin/internal/cli"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = ""

func main() {
	signal.Ignore(syscall.SIGPIPE) // a log or an output that nobody reads is an error, not the end
	os.Exit(cli.Run(context.Background(), cli.Program{
		Version: version, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(),
	}, os.Args[1:]))
}
