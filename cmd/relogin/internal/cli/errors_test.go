package cli

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/golden"

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
			if strings.HasSuffix(test.says, "10s") {
				servers.SkipIfShort(t, "it waits for a server for 10 s")
			}
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

func TestListenFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := relogin(t, nil, "", "gateway", "--addr", listener.Addr().String()); got.status != exitFailed {
		t.Errorf("%+v", got)
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte(`replicas: 2
redis-url: http://user:hunter2@redis
cooldwn: 1m
ack-wait: [1, 2]
gateway-authorization: "hunter2\nhunter2"
shutdown-grace: 5m
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := relogin(t, []string{
		"RELOGIN_NATS_URL=ftp://user:hunter2@nats", "RELOGIN_CONCURRENCY=0", "RELOGIN_EVENT_SECRETS=seal:SXHUNTER2",
		"RELOGIN_PORT=tcp://10.0.0.1:80", "RELOGIN_TENANTS_FILE=nowhere.yaml",
	}, "", "worker", "--config", file, "--confirm-timeout", "soon", "--nats-cert", "../../main.go", "--gatway-url", "x",
		"--namespace=a.b", "--event-encoding", "xml", "--http-addr", "8080", "--cooldown", "-1s", "--gateway-rate=NaN")
	if got.status != exitUsage {
		t.Errorf("status %d", got.status)
	}
	if strings.Contains(strings.ToLower(got.stderr), "hunter2") {
		t.Error("it shows secrets")
	}
	golden.Assert(t, strings.ReplaceAll(got.stderr, file, "settings.yaml"), "errors.txt")
}
