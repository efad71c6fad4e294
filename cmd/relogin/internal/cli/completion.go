package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

func newCompletionCommand(p *Program) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print what has a shell complete command lines",
		Long:  "Prints a script that has your shell complete commands, flags and their values, with the accounts, jobs and tenants whose phones ask now where a command takes them.",
		Example: `  source <(relogin completion bash)
  relogin completion zsh > "${fpath[1]}/_relogin"
  relogin completion fish > ~/.config/fish/completions/relogin.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return settings.UsageError{Err: errors.New("want one shell: bash, zsh or fish")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(p.Stdout)
			case "fish":
				return root.GenFishCompletion(p.Stdout, true)
			}
			return settings.UsageError{Err: fmt.Errorf("unknown shell %q: want bash, zsh or fish", args[0])}
		},
	}
}
