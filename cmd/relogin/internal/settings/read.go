package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

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

// entry is one key of the file.
type entry struct {
	text string
	line int
}

// read takes each setting from its first source, and checks all.
func (s *Settings) read(groups []Group) {
	known := s.known()
	environment := s.environment(known)
	s.take(s.named("config"), environment, nil)
	entries := s.readFile(known)
	for _, one := range s.all {
		if one.Name != "config" {
			s.take(one, environment, entries)
		}
	}
	for _, g := range groups {
		if c, ok := g.(Checker); ok {
			c.Check(s)
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

// environment returns the variables that are not empty.
func (s *Settings) environment(known []string) map[string]string {
	variables := map[string]string{}
	var names []string
	for _, name := range known {
		names = append(names, EnvironmentName(name))
	}
	for _, variable := range s.environ {
		name, text, _ := strings.Cut(variable, "=")
		if text != "" {
			variables[name] = text
		}
		if strings.HasPrefix(name, EnvironmentPrefix) && !slices.Contains(names, name) {
			if near := Suggestion(name, names); near != "" { // else it may be anybody's
				s.hints = append(s.hints, fmt.Sprintf("environment %s is not a setting%s", name, near))
			}
		}
	}
	slices.Sort(s.hints)
	return variables
}

// take reads one setting: flags, environment, file, default.
func (s *Settings) take(one *Setting, environment map[string]string, entries map[string]entry) {
	texts := one.given
	if len(texts) > 0 {
		one.source = "flag --" + one.Name
	}
	for _, name := range one.Variables {
		if text, ok := environment[name]; ok && one.source == "" {
			texts, one.source = []string{text}, "environment "+name
		}
	}
	if e, ok := entries[one.Name]; ok && one.source == "" && len(one.Variables) > 0 {
		texts, one.source = []string{e.text}, fmt.Sprintf("file %s, line %d, %s", s.configFile, e.line, one.Name)
	}
	if one.source == "" && one.fallback != "" {
		texts = []string{one.fallback}
	}
	for _, one.text = range texts {
		if err := one.value.set(one.text); err != nil {
			one.wrong = true
			s.Refuse(one.refused(err))
		}
	}
}

// readFile returns the file's entries, and reports what is wrong with it.
func (s *Settings) readFile(known []string) map[string]entry {
	if s.configFile == "" {
		return nil
	}
	where := "file " + s.configFile
	data, err := os.ReadFile(s.configFile)
	if err != nil {
		s.Refuse(fmt.Errorf("%s: %w", where, err))
		return nil
	}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		s.Refuse(fmt.Errorf("%s%s", where, yamlProblem(err)))
		return nil
	}
	entries := map[string]entry{}
	for _, doc := range parsed.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
		case ast.MapNode:
			for pairs := body.MapRange(); pairs.Next(); {
				s.readPair(where, pairs.KeyValue(), known, entries)
			}
		default:
			s.Refuse(fmt.Errorf("%s: want lines such as nats-url: nats://10.0.0.1:4222", where))
		}
	}
	return entries
}

func (s *Settings) readPair(where string, pair *ast.MappingValueNode, known []string, entries map[string]entry) {
	key := pair.Key.GetToken().Value
	line := pair.Key.GetToken().Position.Line
	where = fmt.Sprintf("%s, line %d, %s", where, line, key)
	if !slices.Contains(known, key) || key == "config" {
		s.Refuse(fmt.Errorf("%s: unknown setting%s", where, Suggestion(key, known)))
		return
	}
	text, ok := scalar(pair.Value)
	if !ok {
		s.Refuse(fmt.Errorf("%s: want one value", where))
		return
	}
	entries[key] = entry{text, line}
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
