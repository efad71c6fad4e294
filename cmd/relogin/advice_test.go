package main

import (
	"net"
	"strings"
	"testing"

	"github.com/relogin/relogin/test/servers"
)

// A command that a person types does not wait for ever where no server is.
func TestNoServer(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"submit":       {[]string{"submit", "a"}, "time-out after 10s"},
		"submit, wait": {[]string{"submit", "a", "--wait", "--timeout", "200ms"}, "time-out after 200ms"},
		"watch":        {[]string{"watch"}, "time-out after 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := relogin(t, nil, "", append(test.args, "--nats-url", "nats://"+servers.FreeAddr(t))...)
			if got.status != exitFailed || !strings.Contains(got.stderr, test.says) ||
				!strings.Contains(got.stderr, "waiting for nats") || !strings.Contains(got.stderr, "--nats-url says where") {
				t.Errorf("status %d: %s", got.status, got.stderr)
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for flag, args := range map[string][]string{
		"--http-addr": {"worker", "--http-addr", addr},
		"--addr":      {"gateway", "--addr", addr},
	} {
		got := relogin(t, nil, "", args...)
		if got.status != exitFailed || !strings.Contains(got.stderr, "flag "+flag+": listen on "+addr+": bind: address already in use") || strings.Count(got.stderr, "listen") != 1 {
			t.Errorf("status %d: %s", got.status, got.stderr)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"workr"}, `unknown command "workr"; did you mean worker?`},
		{[]string{"sumbit", "a"}, "did you mean submit?"},
		{[]string{"nosuch", "--help"}, `unknown command "nosuch"`},
		{[]string{"--help", "sumbit"}, "did you mean submit?"},
	} {
		got := relogin(t, nil, "", test.args...)
		if got.status != exitUsage || !strings.Contains(got.stderr, test.says) || got.stdout != "" {
			t.Errorf("%v: status %d: %s", test.args, got.status, got.stderr)
		}
	}
}
