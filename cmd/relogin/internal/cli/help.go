package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
	"github.com/relogin/relogin/cmd/relogin/internal/terminal"
)

// help prints the manual of a command.
func (a *app) help(cmd *cobra.Command, _ []string) {
	if !cmd.HasParent() {
		if a.unknown = unknownCommand(cmd, cmd.Flags().Args()); a.unknown != nil {
			return
		}
	}
	p := &page{w: a.stdout, width: min(max(terminal.Width(a.stdout), 40), 100)}
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	for paragraph := range strings.SplitSeq(about, "\n") {
		p.paragraph("", paragraph)
	}
	p.title("Usage")
	if cmd.HasAvailableSubCommands() {
		p.paragraph("  ", cmd.CommandPath()+" COMMAND [flags]")
		p.commands(cmd)
		p.paragraph("", "")
		p.paragraph("", fmt.Sprintf("%s COMMAND --help tells more of each. Exit status: 0 done; 1 failed; 2 wrong usage or settings.", cmd.CommandPath()))
		return
	}
	p.paragraph("  ", cmd.UseLine())
	if cmd.Example != "" {
		p.title("Examples")
		p.printf("%s\n", cmd.Example)
	}
	p.flags(cmd)
	if s := a.registry.Of(cmd); s != nil {
		p.settings(s)
	}
}

// page is a manual being printed.
type page struct {
	w     io.Writer
	width int
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

func (p *page) title(title string) { p.printf("\n%s\n", title) }

func (p *page) commands(root *cobra.Command) {
	p.title("Commands")
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			p.printf("  %-9s %s\n", cmd.Name(), cmd.Short)
		}
	}
}

// flags prints those that are no settings.
func (p *page) flags(cmd *cobra.Command) {
	title := "Flags"
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, isSetting := f.Value.(*settings.Setting); isSetting || f.Name == "help" {
			return
		}
		if title != "" {
			p.title(title)
			title = ""
		}
		metavar, usage := pflag.UnquoteUsage(f)
		p.printf("  %s\n", strings.TrimSpace("--"+f.Name+" "+metavar))
		p.paragraph("      ", usage)
	})
}

// settings prints each with what it does, its default and its environment variable.
func (p *page) settings(s *settings.Settings) {
	title := ""
	for _, one := range s.All() {
		if one.Section() != title {
			title = one.Section()
			p.title(title)
		}
		p.printf("  %s\n", one.Flag())
		p.paragraph("      ", one.Usage())
		p.paragraph("      ", one.Origins())
	}
}

func (p *page) paragraph(indent, text string) { terminal.Wrap(p.w, p.width, indent, text) }
