package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// EnvironmentPrefix begins the name of each setting's environment variable.
const EnvironmentPrefix = "RELOGIN_"

// EnvironmentName returns RELOGIN_NATS_URL for nats-url.
func EnvironmentName(name string) string {
	return EnvironmentPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fileSettings is where the settings file is. Every command has it.
type fileSettings struct{}

func (*fileSettings) Declare(s *Settings) {
	s.Section("Settings file")
	s.Add("config", File(&s.configFile), "", "YAML file of settings. Its keys are the flags' names without the dashes: nats-url: nats://10.0.0.1:4222. One file can serve all commands.")
}

func (*fileSettings) Check(*Settings) {}

// entry is one key of the file.
type entry struct {
	text string
	line int
}

// read takes each setting from its first source, and checks all.
func (s *Settings) read() {
	environment := s.environment()
	s.take(s.Named("config"), environment, nil)
	entries := s.readFile()
	for _, one := range s.all {
		if one.name != "config" {
			s.take(one, environment, entries)
		}
	}
	for _, g := range s.groups {
		g.Check(s)
	}
}

// environment returns the variables that are not empty.
func (s *Settings) environment() map[string]string {
	variables := map[string]string{}
	var known []string
	for name := range s.registry.known {
		known = append(known, EnvironmentName(name))
	}
	for _, variable := range s.registry.environ {
		name, text, _ := strings.Cut(variable, "=")
		if text != "" {
			variables[name] = text
		}
		if strings.HasPrefix(name, EnvironmentPrefix) && !slices.Contains(known, name) {
			if near := Suggestion(name, known); near != "" { // else it may be anybody's
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
		one.source = "flag --" + one.name
	}
	for _, name := range one.environment {
		if text, ok := environment[name]; ok && one.source == "" {
			texts, one.source = []string{text}, "environment "+name
		}
	}
	if e, ok := entries[one.name]; ok && one.source == "" && len(one.environment) > 0 {
		texts, one.source = []string{e.text}, fmt.Sprintf("file %s, line %d, %s", s.configFile, e.line, one.name)
	}
	if one.source == "" {
		if one.fallback == "" {
			return
		}
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
func (s *Settings) readFile() map[string]entry {
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
				s.readPair(where, pairs.KeyValue(), entries)
			}
		default:
			s.Refuse(fmt.Errorf("%s: want lines such as nats-url: nats://10.0.0.1:4222", where))
		}
	}
	return entries
}

func (s *Settings) readPair(where string, pair *ast.MappingValueNode, entries map[string]entry) {
	key := pair.Key.GetToken().Value
	line := pair.Key.GetToken().Position.Line
	where = fmt.Sprintf("%s, line %d, %s", where, line, key)
	if !s.registry.known[key] || key == "config" {
		s.Refuse(fmt.Errorf("%s: unknown setting%s", where, Suggestion(key, slices.Sorted(maps.Keys(s.registry.known)))))
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
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
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
