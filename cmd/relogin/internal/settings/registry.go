package settings

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Registry knows the settings of all commands of a program. Files and environments are
// shared by the commands, so each one must know the names of the others' settings.
type Registry struct {
	environ  []string
	commands map[*cobra.Command]*Settings
	known    map[string]bool // names of settings that files and environments may have
}

// NewRegistry returns a registry without commands. The environment has the form of
// [os.Environ].
func NewRegistry(environ []string) *Registry {
	return &Registry{environ: environ, commands: map[*cobra.Command]*Settings{}, known: map[string]bool{}}
}

// Of returns the command's settings, nil when it has declared none.
func (r *Registry) Of(cmd *cobra.Command) *Settings { return r.commands[cmd] }

// Declare gives the command the groups' settings. They are read, and the arguments
// checked with cmd.Args, before the command runs.
func (r *Registry) Declare(cmd *cobra.Command, groups ...Group) *Settings {
	s := &Settings{registry: r, groups: append(groups, &fileSettings{})}
	for _, g := range s.groups {
		g.Declare(s)
	}
	for _, one := range s.all {
		flag := cmd.Flags().VarPF(one, one.name, one.shorthand, one.usage)
		if one.value.isSwitch {
			flag.NoOptDefVal = "true"
		}
		if len(one.environment) > 0 {
			r.known[one.name] = true
		}
	}
	arguments := cmd.Args
	cmd.FParseErrWhitelist.UnknownFlagsHandling = pflag.PassUnknownFlagToArgs
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		unknown := s.unknownFlags(cmd, args)
		s.read()
		if !unknown {
			s.Refuse(arguments(cmd, args))
		}
		return s.err()
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		s.Refuse(err)
		s.read()
		return s.err()
	})
	r.commands[cmd] = s
	return s
}
