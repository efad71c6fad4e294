package settings

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownFlags reports the flags that pflag passed on as arguments.
func (s *Settings) unknownFlags(cmd *cobra.Command, args []string) (found bool) {
	if end := cmd.ArgsLenAtDash(); end >= 0 {
		args = args[:end]
	}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			continue
		}
		found = true
		arg, _, _ = strings.Cut(arg, "=") // the value may be a secret
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		s.Refuse(fmt.Errorf("unknown flag %s%s", arg, Suggestion(arg, names)))
	}
	return found
}

// Suggestion returns "; did you mean …?" where one of the names is near.
func Suggestion(name string, names []string) string {
	best, distance := "", max(1, min(3, len(name)/3))+1
	for _, candidate := range names {
		if d := editDistance(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
