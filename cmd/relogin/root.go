package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or settings
)

// app is what all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // as os.Environ

	unknown  error // of a command whose help was asked for
	settings map[*cobra.Command]*settings
	known    map[string]bool // names of all commands' settings: files and environments are shared
}

// usageError is wrong usage, or wrong settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errReported ends a command with status 1; what went wrong was printed already.
var errReported = errors.New("failed")

// run executes the command line and returns the exit status. SIGINT and SIGTERM end the
// commands' context; after that they have their usual effect, so a second one ends the
// process, unless the command catches it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return newApp(stdin, stdout, stderr, os.Environ()).execute(ctx, args)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, environ []string) *app {
	return &app{
		stdin: stdin, stdout: stdout, stderr: stderr, environ: environ,
		settings: map[*cobra.Command]*settings{}, known: map[string]bool{},
	}
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := newRootCommand(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.unknown
	}
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(a.stderr, "%s: %v\nSee %s --help.\n", cmd.CommandPath(), err, cmd.CommandPath())
		return exitUsage
	case !errors.Is(err, errReported) && !errors.Is(err, syscall.EPIPE): // nobody reads what it prints
		fmt.Fprintf(a.stderr, "%s: %v\n", cmd.CommandPath(), err)
	}
	return exitFailed
}

// The commands are listed in the order in which an operator meets them.
func init() { cobra.EnableCommandSorting = false }

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "relogin",
		Short: "relogin confirms WeChat logins, one at a time for each account.",
		Long: `relogin takes relogin jobs from NATS, asks the gateway to confirm each account's login on its phone, never twice at once for one account, and publishes one event for each job.

Try it, with nothing to install:  relogin dev`,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return usageError{errors.New("a command is missing")} },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpFunc(a.help)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newWorkerCommand(a), newDevCommand(a), newSetupCommand(a), newSubmitCommand(a),
		newWatchCommand(a), newGatewayCommand(a), newBenchCommand(a), newHealthCommand(a), newVersionCommand(a),
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
	return usageError{fmt.Errorf("unknown command %q%s", args[0], suggestion(args[0], names))}
}

// noArguments is for commands that take flags alone.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		// They are not repeated: one may be what follows a space in a credential.
		return usageError{fmt.Errorf("no arguments are taken, and there are %d: quote a value that has a space", len(args))}
	}
	return nil
}
