package settings

import "strings"

// Name returns the flag's name, which is the key in a file too.
func (s *Setting) Name() string { return s.name }

// Section returns the title that the setting stands below in the help.
func (s *Setting) Section() string { return s.section }

// Usage returns what the setting does.
func (s *Setting) Usage() string { return s.usage }

// Variables returns the environment variables that are read, in the order of precedence.
func (s *Setting) Variables() []string { return s.environment }

// Flag returns the flag as it is typed, with what stands for its value.
func (s *Setting) Flag() string {
	flag := "--" + s.name
	if s.shorthand != "" {
		flag = "-" + s.shorthand + ", " + flag
	}
	return strings.TrimSpace(flag + " " + s.value.metavar)
}

// Origins returns the default, and where else the value may come from.
func (s *Setting) Origins() string {
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
