// Package cli is the command line: a file for each command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/cancel"
	"github.com/relogin/relogin/cmd/relogin/internal/doctor"
	"github.com/relogin/relogin/cmd/relogin/internal/httpserver"
	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/cmd/relogin/internal/logging"
	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/submit"
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

// errNotAsWanted ends a command with status 1.
var errNotAsWanted = errors.New("not all is as the settings say")

var errOneAccount = errors.New("want one account, by its wcId")

// reported are the errors that are not printed: what they are about was, or nobody reads it.
var reported = []error{errNotAsWanted, letters.ErrSomeFailed, cancel.ErrNotCancelled, doctor.ErrUnwell, submit.ErrNotSucceeded, httpserver.ErrNotReady, syscall.EPIPE}

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
	case !slices.ContainsFunc(reported, func(one error) bool { return errors.Is(err, one) }):
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
	root.SetHelpFunc(p.help)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return settings.UsageError{Err: err} })
	root.AddCommand(
		newWorkerCommand(p), newDevCommand(p), newSetupCommand(p), newSubmitCommand(p),
		newWatchCommand(p), newStatusCommand(p), newExplainCommand(p), newPauseCommand(p), newResumeCommand(p), newCancelCommand(p), newDeadCommand(p), newDoctorCommand(p), newConsoleCommand(p), newGatewayCommand(p), newBenchCommand(p), newHealthCommand(p), newCompletionCommand(p), newVersionCommand(p),
	)
	return root
}

// command returns cmd, which reads the settings of the groups and of the log, and then runs.
func (p *Program) command(cmd *cobra.Command, run func(ctx context.Context, declared *settings.Settings, log *slog.Logger) error, groups ...settings.Group) *cobra.Command {
	var s logging.Settings
	declared := settings.Declare(cmd, p.Environ, append(groups, &s)...)
	p.complete(cmd, declared, groups)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return run(cmd.Context(), declared, s.Logger(p.Stderr, declared.Hints))
	}
	return cmd
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
