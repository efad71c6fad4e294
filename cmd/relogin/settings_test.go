package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// tryOn reads the settings of the groups, as a command would.
func tryOn(t *testing.T, environ, args []string, groups ...group) (*settings, error) {
	t.Helper()
	a := newApp(nil, nil, nil, environ)
	newRootCommand(a) // makes all settings known
	cmd := &cobra.Command{Use: "try", Args: noArguments, SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return nil }}
	s := a.declare(cmd, groups...)
	if args == nil {
		args = []string{}
	}
	cmd.SetArgs(args)
	return s, cmd.Execute()
}

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
			var n natsSettings
			if _, err := tryOn(t, test.environ, test.args, &n); err != nil {
				t.Fatal(err)
			}
			if n.Options.URL != test.want {
				t.Errorf("got %s, want %s", n.Options.URL, test.want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	var p pipelineSettings
	var c streamSettings
	var o outputSettings
	if _, err := tryOn(t, nil, nil, &p, &c, &o); err != nil {
		t.Fatal(err)
	}
	if p.ShutdownGrace != p.ConfirmTimeout+30*time.Second || p.MaxParked != 16*2048 || p.Pod == "" {
		t.Errorf("computed defaults: %+v", p)
	}
	if c.config("relogin", nil).DuplicateWindow != 2*time.Minute || c.EventMaxAge != 7*day {
		t.Errorf("streams: %+v", c)
	}
	if o.OmitSecrets || o.SealTo != "" || o.HTTPAddr != "" {
		t.Errorf("output: %+v", o)
	}
}

func TestComputedDefaultsYield(t *testing.T) {
	var p pipelineSettings
	if _, err := tryOn(t, nil, []string{"--shutdown-grace", "0", "--max-parked", "0", "--pod", "p"}, &p); err != nil {
		t.Fatal(err)
	}
	if p.ShutdownGrace != 0 || p.MaxParked != 0 || p.Pod != "p" {
		t.Errorf("got %+v", p)
	}
}

func TestShortJobMemoryShortensTheDuplicateWindow(t *testing.T) {
	var c streamSettings
	if _, err := tryOn(t, nil, []string{"--job-memory", "5s"}, &c); err != nil {
		t.Fatal(err)
	}
	if got := c.config("relogin", nil).DuplicateWindow; got != 5*time.Second {
		t.Errorf("got %s", got)
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	file := writeFile(t, `replicas: 2
redis-url: http://user:hunter2@redis
cooldwn: 1m
ack-wait: [1, 2]
gateway-authorization: "hunter2\nhunter2"
shutdown-grace: 5m
`)
	got := relogin(t, []string{
		"RELOGIN_NATS_URL=ftp://user:hunter2@nats", "RELOGIN_CONCURRENCY=0", "RELOGIN_EVENT_SECRETS=seal:SXHUNTER2",
		"RELOGIN_PORT=tcp://10.0.0.1:80", "RELOGIN_TENANTS_FILE=nowhere.yaml",
	}, "", "worker", "--config", file, "--confirm-timeout", "soon", "--nats-cert", "../../go.mod", "--gatway-url", "x",
		"--namespace=a.b", "--event-encoding", "xml", "--http-addr", "8080", "--cooldown", "-1s", "--gateway-rate=NaN")
	if got.status != exitUsage {
		t.Errorf("status %d", got.status)
	}
	if strings.Contains(strings.ToLower(got.stderr), "hunter2") {
		t.Error("it shows secrets")
	}
	golden(t, "errors.txt", strings.ReplaceAll(got.stderr, file, "settings.yaml"))
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
			var n natsSettings
			_, err := tryOn(t, nil, []string{"--config", writeFile(t, test.text)}, &n)
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
	var n natsSettings
	s, err := tryOn(t, []string{"RELOGIN_NAMESPAC=a", "RELOGIN_SERVICE_HOST=10.0.0.1", "RELOGIN_CONCURRENCY=5"}, nil, &n)
	if err != nil || len(s.hints) != 1 || !strings.Contains(s.hints[0], "RELOGIN_NAMESPACE") {
		t.Errorf("hints %q, error %v", s.hints, err)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * day, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "0": 0} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "7", "1dd", "99999999d", "-1d", "1d-1h"} {
		if got, err := parseDuration(text); err == nil {
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
		if got := redactURL(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
