package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
)

// help prints the manual of a command.
func (p *Program) help(cmd *cobra.Command, _ []string) {
	if !cmd.HasParent() && unknownCommand(cmd, cmd.Flags().Args()) != nil {
		return // it becomes the error of the whole
	}
	width := min(max(terminal.Width(p.Stdout), 40), 100)
	printf := func(format string, args ...any) { fmt.Fprintf(p.Stdout, format, args...) }
	paragraph := func(indent, text string) { terminal.Wrap(p.Stdout, width, indent, text) }

	for line := range strings.SplitSeq(cmp.Or(cmd.Long, cmd.Short), "\n") {
		paragraph("", line)
	}
	printf("\nUsage\n")
	if cmd.HasAvailableSubCommands() {
		paragraph("  ", cmd.CommandPath()+" COMMAND [flags]")
		printf("\nCommands\n")
		for _, one := range cmd.Commands() {
			if one.IsAvailableCommand() {
				printf("  %-10s %s\n", one.Name(), one.Short)
			}
		}
		printf("\n")
		paragraph("", fmt.Sprintf("%s COMMAND --help tells more of each. Exit status: 0 done; 1 failed; 2 wrong usage or settings.", cmd.CommandPath()))
		return
	}
	paragraph("  ", cmd.UseLine())
	if cmd.Example != "" {
		printf("\nExamples\n%s\n", cmd.Example)
	}
	section := ""
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		one, ok := f.Value.(*settings.Setting)
		if !ok {
			return // --help
		}
		if one.Section != section {
			section = one.Section
			printf("\n%s\n", section)
		}
		printf("  %s\n", typed(one))
		paragraph("      ", one.Usage)
		paragraph("      ", origins(one))
	})
}

// typed returns the flag as it is typed, with what stands for its value.
func typed(s *settings.Setting) string {
	flag := "--" + s.Name
	if s.Shorthand != "" {
		flag = "-" + s.Shorthand + ", " + flag
	}
	return strings.TrimSpace(flag + " " + s.Type())
}

// origins returns the default, and the environment variables that the value may come from.
func origins(s *settings.Setting) string {
	var parts []string
	if s.Default != "" {
		parts = append(parts, "default: "+s.Default)
	}
	if len(s.Variables) > 0 {
		parts = append(parts, "environment: "+strings.Join(s.Variables, ", "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, "; ") + ")"
}
