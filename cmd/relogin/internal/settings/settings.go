// Package settings reads a command's settings from flags, environment variables and a YAML
// file, the first of these that has a value winning, and reports all that is wrong with them
// at once.
//
// A [Group] is a struct that declares each of its settings once: the flag, the environment
// variable, the key of the file, the help and the default follow from that. A command names the
// groups that it uses in [Declare], and finds them filled in and checked when it runs. The
// package knows no command and no setting but --config.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Group is a part of the settings that commands share. Declare adds its settings.
type Group interface{ Declare(s *Settings) }

// Checker is a Group whose settings must fit each other, or have defaults that depend on
// others. Check is called once all settings are read. It reports what is wrong between them,
// and fills in those defaults.
type Checker interface{ Check(s *Settings) }

// UsageError is wrong usage of a command, or wrong settings.
type UsageError struct{ Err error }

// Error returns the text of the error within.
func (e UsageError) Error() string { return e.Err.Error() }

// Settings are those of one command.
type Settings struct {
	Presets map[string]string // defaults that are this command's own; a group may set them as it declares
	Args    []string          // the command's arguments
	Hints   []string          // what looks like a mistake in the environment, but may be none

	cmd     *cobra.Command
	environ []string
	groups  []Group
	all     []*Setting
	section string // of the settings that are declared next

	configFile string
	problems   []string
}

// Setting is one setting of a command. It implements [pflag.Value].
type Setting struct {
	Name, Section, Usage string
	Shorthand            string   // of the flag, one letter; empty: none
	Default              string   // as the help shows it, which tells how it is computed where it is
	Variables            []string // of the environment, in the order of precedence; none: only a flag

	value    Value
	fallback string   // the default
	source   string   // of the value; empty: the default
	texts    []string // the value as it was given there; only a flag may be repeated
	text     string   // the last of them that was stored, or refused
	wrong    bool
}

// Set notes what a flag has given. It always returns nil, so that one wrong value does not
// hide the others.
func (s *Setting) Set(text string) error {
	s.source, s.texts = "flag --"+s.Name, append(s.texts, text)
	return nil
}

// String returns the default.
func (s *Setting) String() string { return s.fallback }

// Type returns what stands for the value in the help.
func (s *Setting) Type() string { return s.value.metavar }

// Declare gives the command the groups' settings. They are read, and the arguments checked
// with cmd.Args, by default [NoArguments], before the command runs. The environment has the form
// of [os.Environ].
func Declare(cmd *cobra.Command, environ []string, groups ...Group) *Settings {
	s := &Settings{cmd: cmd, environ: environ, groups: groups}
	for _, g := range groups {
		g.Declare(s)
	}
	s.Section("Settings file")
	s.Add("config", File(&s.configFile), "", "YAML file of settings. Its keys are the flags' names without the dashes: nats-url: nats://10.0.0.1:4222. One file can serve all commands.")
	for name, preset := range s.Presets {
		one := s.named(name)
		one.fallback, one.Default = preset, preset
	}
	cmd.Flags().SortFlags = false
	for _, one := range s.all {
		flag := cmd.Flags().VarPF(one, one.Name, one.Shorthand, one.Usage)
		if one.value.metavar == "" {
			flag.NoOptDefVal = "true"
		}
		one.complete(cmd)
	}
	arguments := cmd.Args
	if arguments == nil {
		arguments = NoArguments
	}
	cmd.FParseErrWhitelist.UnknownFlagsHandling = pflag.PassUnknownFlagToArgs
	cmd.Args = func(_ *cobra.Command, args []string) error {
		s.Args = args
		s.refuseUnknownFlags(args)
		unknown := len(s.problems) > 0
		s.read(groups)
		if !unknown {
			s.Refuse(arguments(cmd, args))
		}
		return s.err()
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		s.Refuse(err)
		s.read(groups)
		return s.err()
	})
	return s
}

// complete has shells complete the flag's value with the words that it can be, and not with files
// unless it is one. What a text can be is for the command to say.
func (s *Setting) complete(cmd *cobra.Command) {
	if !s.value.file && s.value.metavar != "text" {
		_ = cmd.RegisterFlagCompletionFunc(s.Name, cobra.FixedCompletions(s.value.words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// Load reads the settings for a shell that completes a command line, as far as that is typed.
func (s *Settings) Load() error {
	s.read(s.groups)
	return s.err()
}

// NoArguments is for commands that take flags alone.
func NoArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		// They are not repeated: one may be what follows a space in a credential.
		return UsageError{fmt.Errorf("no arguments are taken, and there are %d: quote a value that has a space", len(args))}
	}
	return nil
}

// Section starts a section of the help, for the settings that are declared next.
func (s *Settings) Section(title string) { s.section = title }

// Add declares a setting with its flag, environment variable and key.
func (s *Settings) Add(name string, v Value, fallback, usage string) *Setting {
	one := s.AddFlag(name, v, fallback, usage)
	one.Variables = []string{EnvironmentName(name)}
	return one
}

// AddFlag declares what is set by a flag alone.
func (s *Settings) AddFlag(name string, v Value, fallback, usage string) *Setting {
	one := &Setting{Name: name, Section: s.section, Usage: usage, Default: fallback, value: v, fallback: fallback}
	s.all = append(s.all, one)
	return one
}

// AlsoFrom names a further environment variable, of lower precedence.
func (s *Setting) AlsoFrom(variable string) { s.Variables = append(s.Variables, variable) }

// named returns the setting of that name, which is declared.
func (s *Settings) named(name string) *Setting {
	return s.all[slices.IndexFunc(s.all, func(one *Setting) bool { return one.Name == name })]
}

// IsSet tells whether the setting has a value other than its default.
func (s *Settings) IsSet(name string) bool { return s.named(name).source != "" }

// Environment returns the settings of the named sections that are set, as environment
// variables in the form of [os.Environ].
func (s *Settings) Environment(sections ...string) []string {
	var variables []string
	for _, one := range s.all {
		if slices.Contains(sections, one.Section) && one.source != "" {
			variables = append(variables, EnvironmentName(one.Name)+"="+one.text)
		}
	}
	return variables
}

// CommandLine returns those of the named settings that are set, as flags.
func (s *Settings) CommandLine(names ...string) string {
	var flags []string
	for _, one := range s.all {
		if slices.Contains(names, one.Name) && one.source != "" {
			flags = append(flags, "--"+one.Name, one.text)
		}
	}
	return strings.Join(flags, " ")
}

// Require reports that something else is wanted of the first of the named settings that
// was set, unless it is fulfilled or one of them is wrong anyway.
func (s *Settings) Require(fulfilled bool, wanted string, names ...string) {
	blamed := s.named(names[0])
	for _, name := range slices.Backward(names) {
		one := s.named(name)
		fulfilled = fulfilled || one.wrong
		if one.source != "" {
			blamed = one
		}
	}
	if !fulfilled {
		s.Refuse(blamed.refused(errors.New(wanted)))
	}
}

// refused returns an error that says where the value comes from, and what is wrong.
func (s *Setting) refused(err error) error {
	return fmt.Errorf("%s: %s: %w", cmp.Or(s.source, "default of --"+s.Name), s.value.shown(s.text), err)
}

// Refuse notes what is wrong; nil is nothing.
func (s *Settings) Refuse(err error) {
	if err != nil {
		s.problems = append(s.problems, err.Error())
	}
}

// err returns all that is wrong.
func (s *Settings) err() error {
	switch len(s.problems) {
	case 0:
		return nil
	case 1:
		return UsageError{errors.New(s.problems[0])}
	}
	return UsageError{fmt.Errorf("%d things are wrong:\n  %s", len(s.problems), strings.Join(s.problems, "\n  "))}
}
