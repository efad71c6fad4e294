package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"gotest.tools/v3/golden"

	"github.com/relogin/relogin/cmd/relogin/internal/settings"
)

// result is what a command line did.
type result struct {
	status         int
	stdout, stderr string
}

// relogin executes a command line with an environment of its own.
func relogin(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := Program{Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, Environ: environ}
	status := Run(t.Context(), p, args)
	return result{status, stdout.String(), stderr.String()}
}

func TestExitStatus(t *testing.T) {
	tests := map[string]struct {
		args []string
		want int
	}{
		"help":             {[]string{"--help"}, exitDone},
		"help of command":  {[]string{"submit", "--help"}, exitDone},
		"version":          {[]string{"version"}, exitDone},
		"no command":       {nil, exitUsage},
		"unknown command":  {[]string{"sumbit"}, exitUsage},
		"unknown flag":     {[]string{"setup", "--nope"}, exitUsage},
		"root flag":        {[]string{"--nope"}, exitUsage},
		"missing value":    {[]string{"setup", "--replicas"}, exitUsage},
		"wrong value":      {[]string{"setup", "--replicas", "2"}, exitUsage},
		"extra argument":   {[]string{"setup", "now"}, exitUsage},
		"extra to version": {[]string{"version", "now"}, exitUsage},
		"check and update": {[]string{"setup", "--check", "--update"}, exitUsage},
		"no jobs":          {[]string{"submit"}, exitUsage},
		"empty file":       {[]string{"submit", "--file", "-"}, exitUsage},
		"bad wcId":         {[]string{"submit", "a\x00"}, exitUsage},
		"id of two":        {[]string{"submit", "a", "b", "--id", "1"}, exitUsage},
		"no such file":     {[]string{"submit", "--file", "nowhere.csv"}, exitUsage},
		"bench of few":     {[]string{"bench", "--jobs", "1", "--accounts", "2"}, exitUsage},
		"health of none":   {[]string{"health"}, exitUsage},
		"not healthy":      {[]string{"health", "--http-addr", "127.0.0.1:1"}, exitFailed},
		"wrong lines":      {[]string{"submit", "--file", "testdata/wrong.csv"}, exitFailed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := relogin(t, nil, "", test.args...)
			if got.status != test.want {
				t.Errorf("status %d, want %d; it said %s", got.status, test.want, got.stderr)
			}
			if test.want != exitDone && got.stderr == "" {
				t.Error("it said nothing")
			}
		})
	}
}

func TestHelp(t *testing.T) {
	golden.Assert(t, relogin(t, nil, "", "--help").stdout, "help.txt")
	golden.Assert(t, relogin(t, nil, "", "submit", "--help").stdout, "help_submit.txt")
	golden.Assert(t, relogin(t, nil, "", "bench", "--help").stdout, "help_bench.txt")
}

func TestHelpNamesEverySetting(t *testing.T) {
	for _, cmd := range newRootCommand(&Program{}).Commands() {
		help := relogin(t, nil, "", cmd.Name(), "--help").stdout
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			one, ok := f.Value.(*settings.Setting)
			if !ok || !strings.Contains(help, "--"+one.Name) || one.Usage == "" {
				t.Errorf("%s: --%s is not explained", cmd.Name(), f.Name)
				return
			}
			for _, variable := range one.Variables {
				if !strings.Contains(help, variable) {
					t.Errorf("%s: %s is not named", cmd.Name(), variable)
				}
			}
		})
	}
}
