package main

// How a command gets its settings. A group is a struct that declares each of its
// settings once; flag, environment variable, key of the YAML file, help and default
// follow from that. A command names the groups it uses:
//
//	func newSetupCommand(a *app) *cobra.Command {
//		var s struct {
//			Log  logSettings
//			NATS natsSettings
//		}
//		cmd := &cobra.Command{Use: "setup", Args: noArguments}
//		settings := a.declare(cmd, &s.NATS, &s.Log)
//		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
//			// s is filled in and checked: all errors were reported, with status 2.
//			log := a.logger(settings, s.Log)
//			...
//		}
//		return cmd
//	}
//
// Precedence: flags, environment, file, default. What is wrong is collected, never
// reported alone.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// group is a part of the settings that commands share.
type group interface {
	// declare adds the group's settings.
	declare(s *settings)
	// check is called once all are read. It reports what is wrong between them, and
	// fills in defaults that depend on others.
	check(s *settings)
}

// settings are those of one command.
type settings struct {
	app    *app
	all    []*setting
	groups []group
	title  string // of the settings that are declared next

	configFile string
	problems   []string
	hints      []string // what looks like a mistake, but may be none
}

// setting is declared once. It implements [pflag.Value]; Set only notes what was given,
// so that one wrong value does not hide the others.
type setting struct {
	value
	name, title, usage string
	shorthand          string   // of the flag, one letter; empty: none
	fallback           string   // the default
	fallbackUsage      string   // the default in the help, where it is computed
	environment        []string // names, in the order of precedence; none: only a flag

	given  []string // by flags
	source string   // of the value; empty: the default
	text   string   // the value as it was given there
	wrong  bool
}

func (s *setting) Set(text string) error { s.given = append(s.given, text); return nil }
func (s *setting) String() string        { return s.fallback }
func (s *setting) Type() string          { return s.metavar }

// declare gives the command the groups' settings. They are read, and the arguments
// checked with cmd.Args, before the command runs.
func (a *app) declare(cmd *cobra.Command, groups ...group) *settings {
	s := &settings{app: a, groups: append(groups, &fileSettings{})}
	for _, g := range s.groups {
		g.declare(s)
	}
	for _, one := range s.all {
		flag := cmd.Flags().VarPF(one, one.name, one.shorthand, one.usage)
		if one.isSwitch {
			flag.NoOptDefVal = "true"
		}
		if len(one.environment) > 0 {
			a.known[one.name] = true
		}
	}
	arguments := cmd.Args
	cmd.FParseErrWhitelist.UnknownFlagsHandling = pflag.PassUnknownFlagToArgs
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		unknown := s.unknownFlags(cmd, args)
		s.read()
		if !unknown {
			s.refuse(arguments(cmd, args))
		}
		return s.err()
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		s.refuse(err)
		s.read()
		return s.err()
	})
	a.settings[cmd] = s
	return s
}

// titled starts a group: its title in the help.
func (s *settings) titled(title string) { s.title = title }

// add declares a setting with its flag, environment variable and key.
func (s *settings) add(name string, v value, fallback, usage string) *setting {
	one := s.addFlag(name, v, fallback, usage)
	one.environment = []string{environmentName(name)}
	return one
}

// addFlag declares what is set by a flag alone.
func (s *settings) addFlag(name string, v value, fallback, usage string) *setting {
	one := &setting{value: v, name: name, title: s.title, usage: usage, fallback: fallback}
	s.all = append(s.all, one)
	return one
}

// short gives the flag a letter.
func (s *setting) short(letter string) { s.shorthand = letter }

// alsoFrom names a further environment variable, of lower precedence.
func (s *setting) alsoFrom(variable string) { s.environment = append(s.environment, variable) }

// fallsBackTo says what the default is where it is computed.
func (s *setting) fallsBackTo(usage string) { s.fallbackUsage = usage }

// named returns the setting of that name, nil when there is none.
func (s *settings) named(name string) *setting {
	i := slices.IndexFunc(s.all, func(one *setting) bool { return one.name == name })
	if i < 0 {
		return nil
	}
	return s.all[i]
}

// isSet tells whether the setting has a value other than its default.
func (s *settings) isSet(name string) bool { return s.named(name).source != "" }

// commandLine returns those of the named settings that are set, as flags.
func (s *settings) commandLine(names ...string) string {
	var flags []string
	for _, one := range s.all {
		if slices.Contains(names, one.name) && one.source != "" && !one.wrong {
			flags = append(flags, "--"+one.name, one.text)
		}
	}
	return strings.Join(flags, " ")
}

// isMissing tells whether the setting has neither a value nor a default.
func (s *settings) isMissing(name string) bool {
	return !s.isSet(name) && s.named(name).fallback == ""
}

// preset changes a default for this command.
func (s *settings) preset(name, fallback string) {
	one := s.named(name)
	one.fallback, one.fallbackUsage = fallback, ""
}

// require reports that something else is wanted of the first of the named settings that
// was set, unless it is fulfilled or one of them is wrong anyway.
func (s *settings) require(fulfilled bool, wanted string, names ...string) {
	if fulfilled {
		return
	}
	blamed := s.named(names[0])
	for _, name := range slices.Backward(names) {
		one := s.named(name)
		if one.wrong {
			return
		}
		if one.source != "" {
			blamed = one
		}
	}
	s.refuse(blamed.refused(errors.New(wanted)))
}

// refused returns an error that says where the value comes from, and what is wrong.
func (s *setting) refused(err error) error {
	source := s.source
	if source == "" {
		source = "default of --" + s.name
	}
	return fmt.Errorf("%s: %s: %w", source, s.shown(s.text), err)
}

// refuse notes what is wrong; nil is nothing.
func (s *settings) refuse(err error) {
	if err != nil {
		s.problems = append(s.problems, err.Error())
	}
}

// err returns all that is wrong.
func (s *settings) err() error {
	switch len(s.problems) {
	case 0:
		return nil
	case 1:
		return usageError{errors.New(s.problems[0])}
	}
	return usageError{fmt.Errorf("%d things are wrong:\n  %s", len(s.problems), strings.Join(s.problems, "\n  "))}
}
