package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"
)

// EnvironmentPrefix begins the name of each setting's environment variable.
const EnvironmentPrefix = "RELOGIN_"

// EnvironmentName returns RELOGIN_NATS_URL for nats-url.
func EnvironmentName(name string) string {
	return EnvironmentPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// read gives each setting the text of its first source, stores it, and checks all.
func (s *Settings) read(groups []Group) {
	known := s.known()
	s.readEnvironment(known)
	config := len(s.all) - 1 // it is declared last
	s.store(s.all[config])
	if s.configFile != "" {
		s.readFile(known)
	}
	for _, one := range s.all[:config] {
		s.store(one)
	}
	for _, g := range groups {
		if c, ok := g.(Checker); ok {
			c.Check(s)
		}
	}
}

// offer gives the setting a text, unless a source of higher precedence has given one.
func (s *Setting) offer(source, text string) {
	if s.source == "" {
		s.source, s.texts = source, []string{text}
	}
}

// store stores what the setting was given, or its default.
func (s *Settings) store(one *Setting) {
	if one.source == "" && one.fallback != "" {
		one.texts = []string{one.fallback}
	}
	for _, one.text = range one.texts {
		if err := one.value.set(one.text); err != nil {
			one.wrong = true
			s.Refuse(one.refused(err))
		}
	}
}

// known returns the names of all that files and environments may set, sorted. Commands
// share these, so that each one knows the others' settings.
func (s *Settings) known() []string {
	var names []string
	for _, cmd := range s.cmd.Root().Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if one, ok := f.Value.(*Setting); ok && len(one.Variables) > 0 {
				names = append(names, f.Name)
			}
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// readEnvironment offers the variables that are not empty.
func (s *Settings) readEnvironment(known []string) {
	var names []string
	for _, name := range known {
		names = append(names, EnvironmentName(name))
	}
	variables := map[string]string{}
	for _, variable := range s.environ {
		name, text, _ := strings.Cut(variable, "=")
		variables[name] = text
		if strings.HasPrefix(name, EnvironmentPrefix) && !slices.Contains(names, name) {
			if near := Suggestion(name, names); near != "" { // else it may be anybody's
				s.Hints = append(s.Hints, fmt.Sprintf("environment %s is not a setting%s", name, near))
			}
		}
	}
	slices.Sort(s.Hints)
	for _, one := range s.all {
		for _, name := range one.Variables {
			if text := variables[name]; text != "" {
				one.offer("environment "+name, text)
			}
		}
	}
}

// readFile offers what the settings file has, and reports what is wrong with it.
func (s *Settings) readFile(known []string) {
	where := "file " + s.configFile
	data, err := os.ReadFile(s.configFile)
	if err != nil {
		s.Refuse(fmt.Errorf("%s: %w", where, err))
		return
	}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		s.Refuse(fmt.Errorf("%s%s", where, yamlProblem(err)))
		return
	}
	for _, doc := range parsed.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
		case ast.MapNode:
			for pairs := body.MapRange(); pairs.Next(); {
				s.readPair(where, pairs.KeyValue(), known)
			}
		default:
			s.Refuse(fmt.Errorf("%s: want lines such as nats-url: nats://10.0.0.1:4222", where))
		}
	}
}

func (s *Settings) readPair(file string, pair *ast.MappingValueNode, known []string) {
	key := pair.Key.GetToken()
	where := fmt.Sprintf("%s, line %d, %s", file, key.Position.Line, key.Value)
	text, isScalar := scalar(pair.Value)
	switch {
	case !slices.Contains(known, key.Value) || key.Value == "config":
		s.Refuse(fmt.Errorf("%s: unknown setting%s", where, Suggestion(key.Value, known)))
	case !isScalar:
		s.Refuse(fmt.Errorf("%s: want one value", where))
	}
	for _, one := range s.all {
		if isScalar && one.Name == key.Value && len(one.Variables) > 0 {
			one.offer(where, text)
		}
	}
}

// scalar returns the value's text as it stands in the file.
func scalar(n ast.Node) (string, bool) {
	if literal, ok := n.(*ast.LiteralNode); ok {
		n = literal.Value
	}
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// yamlProblem returns the line and what is wrong there. The parser's own text quotes
// the file, and so its secrets.
func yamlProblem(err error) string {
	var y yaml.Error
	if !errors.As(err, &y) || y.GetToken() == nil {
		return ": not valid YAML"
	}
	text, _, _ := strings.Cut(y.GetMessage(), `"`)
	return fmt.Sprintf(", line %d: not valid YAML: %s", y.GetToken().Position.Line, strings.TrimSpace(text))
}

// refuseUnknownFlags reports the flags that pflag passed on as arguments.
func (s *Settings) refuseUnknownFlags(args []string) {
	if end := s.cmd.ArgsLenAtDash(); end >= 0 {
		args = args[:end]
	}
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			continue
		}
		arg, _, _ = strings.Cut(arg, "=") // the value may be a secret
		var names []string
		s.cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		s.Refuse(fmt.Errorf("unknown flag %s%s", arg, Suggestion(arg, names)))
	}
}

// Suggestion returns "; did you mean …?" where one of the names is near.
func Suggestion(name string, names []string) string {
	best, distance := "", max(1, min(3, len(name)/3))+1
	for _, candidate := range names {
		if d := levenshtein.ComputeDistance(name, candidate); d < distance {
			best, distance = fmt.Sprintf("; did you mean %s?", candidate), d
		}
	}
	return best
}
