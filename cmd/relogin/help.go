package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints the manual of a command.
func (a *app) help(cmd *cobra.Command, _ []string) {
	if !cmd.HasParent() {
		if a.unknown = unknownCommand(cmd, cmd.Flags().Args()); a.unknown != nil {
			return
		}
	}
	p := &page{w: a.stdout, width: min(max(terminalWidth(a.stdout), 40), 100)}
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
	if s := a.settings[cmd]; s != nil {
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
		if _, isSetting := f.Value.(*setting); isSetting || f.Name == "help" {
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
func (p *page) settings(s *settings) {
	title := ""
	for _, one := range s.all {
		if one.title != title {
			title = one.title
			p.title(title)
		}
		p.printf("  %s\n", one.flag())
		p.paragraph("      ", one.usage)
		p.paragraph("      ", one.origins())
	}
}

// flag returns it as it is typed.
func (s *setting) flag() string {
	flag := "--" + s.name
	if s.shorthand != "" {
		flag = "-" + s.shorthand + ", " + flag
	}
	return strings.TrimSpace(flag + " " + s.metavar)
}

// origins returns the default, and where else the value may come from.
func (s *setting) origins() string {
	var parts []string
	switch {
	case s.fallbackUsage != "":
		parts = append(parts, "default: "+s.fallbackUsage)
	case s.fallback != "":
		parts = append(parts, "default: "+s.fallback)
	}
	if len(s.environment) > 0 {
		parts = append(parts, "environment: "+strings.Join(s.environment, ", "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, "; ") + ")"
}

// paragraph prints the text indented, and broken between words where the page ends.
// Nothing is printed for an empty one with an indent.
func (p *page) paragraph(indent, text string) {
	if text == "" && indent != "" {
		return
	}
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case len(line)+1+len(word) > p.width:
			p.printf("%s\n", line)
			line = indent + word
		default:
			line += " " + word
		}
	}
	p.printf("%s\n", line)
}
