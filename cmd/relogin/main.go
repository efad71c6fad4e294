// Command relogin turns relogin jobs on NATS into confirmations at a WeChat gateway: at
// most one at a time for each account, and one result event for each job.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // a log or an output that nobody reads is an error, not the end
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
