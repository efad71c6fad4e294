package settings

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"
)

// unknownFlags reports the flags that pflag passed on as arguments.
func (s *Settings) unknownFlags(args []string) (found bool) {
	if end := s.cmd.ArgsLenAtDash(); end >= 0 {
		args = args[:end]
	}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			continue
		}
		found = true
		arg, _, _ = strings.Cut(arg, "=") // the value may be a secret
		var names []string
		s.cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		s.Refuse(fmt.Errorf("unknown flag %s%s", arg, Suggestion(arg, names)))
	}
	return found
}

// Suggestion returns "; did you mean …?" where one of the names is near.
func Suggestion(name string, names []string) string {
	best, distance := "", max(1, min(3, len(name)/3))+1
	for _, candidate := range names {
		if d := levenshtein.ComputeDistance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}
