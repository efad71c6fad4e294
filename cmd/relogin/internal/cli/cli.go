// Package cli is the command line: a file for each command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or settings
)

// Program is the process that the command line runs in.
type Program struct {
	Version        string // of the release; empty: what the Go command knows
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // in the form of [os.Environ]
}

// errReported ends a command with status 1; what went wrong was printed already.
var errReported = errors.New("failed")

// Run executes the command line and returns the exit status. SIGINT and SIGTERM end the
// commands' context; after that they have their usual effect, so a second one ends the
// process, unless the command catches it.
func Run(ctx context.Context, p Program, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := newRootCommand(&p)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && cmd == root { // its help was asked for, maybe of a command that there is not
		err = unknownCommand(root, root.Flags().Args())
	}
	var usage settings.UsageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(p.Stderr, "%s: %v\nSee %s --help.\n", cmd.CommandPath(), err, cmd.CommandPath())
		return exitUsage
	case !errors.Is(err, errReported) && !errors.Is(err, syscall.EPIPE): // nobody reads what it prints
		fmt.Fprintf(p.Stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	return exitFailed
}

// The commands are listed in the order in which an operator meets them.
func init() { cobra.EnableCommandSorting = false }

func newRootCommand(p *Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "relogin",
		Short: "relogin confirms WeChat logins, one at a time for each account.",
		Long: `relogin takes relogin jobs from NATS, asks the gateway to confirm each account's login on its phone, never twice at once for one account, and publishes one event for each job.

Try it, with nothing to install:  relogin dev`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return settings.UsageError{Err: errors.New("a command is missing")}
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpFunc(p.help)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return settings.UsageError{Err: err} })
	root.AddCommand(
		newWorkerCommand(p), newDevCommand(p), newSetupCommand(p), newSubmitCommand(p),
		newWatchCommand(p), newDeadCommand(p), newGatewayCommand(p), newBenchCommand(p), newHealthCommand(p), newVersionCommand(p),
	)
	return root
}

func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, cmd := range root.Commands() {
		names = append(names, cmd.Name())
	}
	return settings.UsageError{Err: fmt.Errorf("unknown command %q%s", args[0], settings.Suggestion(args[0], names))}
}

// noArguments is for commands that take flags alone.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		// They are not repeated: one may be what follows a space in a credential.
		return settings.UsageError{Err: fmt.Errorf("no arguments are taken, and there are %d: quote a value that has a space", len(args))}
	}
	return nil
}
