package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// server are the settings of one command.
type server struct{ url, namespace string }

func (g *server) Declare(s *settings.Settings) {
	s.Add("nats-url", settings.ServerURLs(&g.url, "nats"), "nats://127.0.0.1:4222", "the server").AlsoFrom("NATS_URL")
	s.Add("namespace", settings.Text(&g.namespace), "relogin", "prefix of names")
}

func (*server) Check(*settings.Settings) {}

// other are the settings of another command.
type other struct {
	url         string
	concurrency int
}

func (g *other) Declare(s *settings.Settings) {
	s.Add("redis-url", settings.ServerURLs(&g.url, "redis"), "redis://127.0.0.1:6379/0", "the server")
	s.Add("concurrency", settings.Int(&g.concurrency, 1, 10), "5", "how many at once")
}

func (*other) Check(*settings.Settings) {}

// read reads the settings of the group, as a command would that is not the only one.
func read(environ, args []string, g settings.Group) (*settings.Settings, error) {
	command := func(name string) *cobra.Command {
		return &cobra.Command{Use: name, Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {}}
	}
	root, cmd, another := &cobra.Command{SilenceErrors: true, SilenceUsage: true}, command("this"), command("other")
	root.AddCommand(cmd, another)
	root.SetArgs(append([]string{"this"}, args...))
	settings.Declare(another, environ, &other{})
	s := settings.Declare(cmd, environ, g)
	return s, root.Execute()
}

// writeFile returns the path of a settings file with the text. The file goes with the test.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "nats-url: nats://file\n")
	tests := map[string]struct {
		environ, args []string
		want          string
	}{
		"default":              {nil, nil, "nats://127.0.0.1:4222"},
		"file":                 {nil, []string{"--config", file}, "nats://file"},
		"file by environment":  {[]string{"RELOGIN_CONFIG=" + file}, nil, "nats://file"},
		"environment":          {[]string{"RELOGIN_NATS_URL=nats://env"}, []string{"--config", file}, "nats://env"},
		"common name":          {[]string{"NATS_URL=nats://common"}, []string{"--config", file}, "nats://common"},
		"own over common name": {[]string{"NATS_URL=nats://common", "RELOGIN_NATS_URL=nats://env"}, nil, "nats://env"},
		"empty is not set":     {[]string{"RELOGIN_NATS_URL=", "NATS_URL=nats://common"}, nil, "nats://common"},
		"flag":                 {[]string{"RELOGIN_NATS_URL=nats://env"}, []string{"--config", file, "--nats-url", "nats://flag"}, "nats://flag"},
		"last flag":            {nil, []string{"--nats-url", "nats://one", "--nats-url", "nats://two"}, "nats://two"},
		"wrong below is moot":  {[]string{"RELOGIN_NATS_URL=wrong"}, []string{"--nats-url=nats://flag"}, "nats://flag"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var n server
			if _, err := read(test.environ, test.args, &n); err != nil {
				t.Fatal(err)
			}
			if n.url != test.want {
				t.Errorf("got %s, want %s", n.url, test.want)
			}
		})
	}
}

func TestYAMLProblems(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":           {"", ""},
		"comment":         {"# nothing\n", ""},
		"own":             {"namespace: a\n", ""},
		"another command": {"redis-url: redis://r\nconcurrency: 5\n", ""},
		"literal":         {"namespace: |-\n  a\n", ""},
		"number as text":  {"namespace: 007\n", ""},
		"list":            {"- namespace\n", "want lines such as"},
		"twice":           {"namespace: a\nnamespace: b\n", "line 2"},
		"broken":          {"namespace: [hunter2\n", "not valid YAML"},
		"nested":          {"nats:\n  url: x\n", "line 1, nats: unknown setting"},
		"null":            {"namespace:\n", "want one value"},
		"itself":          {"config: x\n", "unknown setting"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var n server
			_, err := read(nil, []string{"--config", writeFile(t, test.text)}, &n)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("it shows the file: %v", err)
			}
		})
	}
}

func TestUnknownVariablesAreHints(t *testing.T) {
	var n server
	s, err := read([]string{"RELOGIN_NAMESPAC=a", "RELOGIN_SERVICE_HOST=10.0.0.1", "RELOGIN_CONCURRENCY=5"}, nil, &n)
	if err != nil || len(s.Hints) != 1 || !strings.Contains(s.Hints[0], "RELOGIN_NAMESPACE") {
		t.Errorf("hints %q, error %v", s.Hints, err)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * settings.Day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "0": 0} {
		if got, err := settings.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "7", "1dd", "99999999d", "-1d", "1d-1h"} {
		if got, err := settings.ParseDuration(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for text, want := range map[string]string{
		"redis://h:1/0":                   "redis://h:1/0",
		"redis://u:p@h":                   "redis://xxxxx@h",
		"redis://u:p,q@h,redis://u:p@h2":  "redis://xxxxx@h2",
		"u:p@h":                           "xxxxx@h",
		"redis://h?sentinel_password=p":   "redis://h",
		"nats://u:p?x@h":                  "nats://xxxxx@h",
		"redis://h?sentinel_password=p@q": "redis://xxxxx@q",
		"redis://:p":                      "redis://xxxxx",
		"nats://u:p":                      "nats://xxxxx",
		"redis://:p:6379/0":               "redis://xxxxx",
		"redis://[::1]:6379/0":            "redis://[::1]:6379/0",
		"redis://a:1,b:2":                 "redis://a:1,b:2",
		"http://h/#p":                     "http://h/",
	} {
		if got := settings.RedactURL(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
