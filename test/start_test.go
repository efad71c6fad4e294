package test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

func TestStartWaitsForItsServers(t *testing.T) {
	for name, waits := range map[string][]string{
		"nats":  {"--nats-url", "nats://user:secret@" + servers.FreeAddr(t)},
		"redis": {"--nats-url", servers.NATS(t), "--redis-url", "redis://user:secret@" + servers.FreeAddr(t)},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, os.Environ(), append([]string{"worker", "--http-addr", "127.0.0.1:0"}, waits...)...)
			p.says("waiting for " + name)
			if strings.Contains(p.out.String(), "secret") {
				t.Errorf("the log tells the password:\n%s", p.out)
			}
			if status := p.terminate(); status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

func TestStartSaysWhatIsRefused(t *testing.T) {
	guarded := servers.StartNATS(t, func(o *server.Options) { o.Username, o.Password = "user", "right" })
	redis := servers.StartRedis(t, "--requirepass", "right")
	readOnly := servers.StartNATS(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "right", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"$JS.API.INFO"}}}}}
	})
	for name, test := range map[string]struct{ natsURL, redisURL, says string }{
		"nats password":   {strings.Replace(guarded.URL(), "//", "//user:wrong@", 1), redis.URL(), "Authorization"},
		"nats permission": {strings.Replace(readOnly.URL(), "//", "//user:right@", 1), redis.URL(), "grant this user the permission"},
		"redis password":  {servers.NATS(t), strings.Replace(redis.URL(), "//", "//:wrong@", 1), "WRONGPASS"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := run(t, os.Environ(), "", "worker", "--nats-url", test.natsURL, "--redis-url", test.redisURL)
			if status != 1 || !strings.Contains(stderr, test.says) || strings.Contains(stderr, "wrong@") {
				t.Errorf("exit status %d:\n%s", status, stderr)
			}
		})
	}
}

func TestWrongSettings(t *testing.T) {
	tenants := filepath.Join(t.TempDir(), "tenants.yaml")
	if err := os.WriteFile(tenants, []byte("acme:\n  url: ftp://x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, says []string
	}{
		{[]string{"worker", "--concurrency", "many", "--confirm-timeout", "soon", "--namespace", "a.b", "--replicas", "2"},
			[]string{"--concurrency", "--confirm-timeout", "--namespace", "--replicas"}},
		{[]string{"worker", "--tenants-file", tenants}, []string{"acme", "http"}},
		{[]string{"worker", "extra"}, nil},
		{[]string{"nonsense"}, []string{"nonsense"}},
		{[]string{"submit"}, nil},
	} {
		status, _, stderr := run(t, os.Environ(), "", test.args...)
		if status != 2 {
			t.Errorf("%v: exit status %d\n%s", test.args, status, stderr)
		}
		for _, word := range test.says {
			if !strings.Contains(stderr, word) {
				t.Errorf("%v does not say %q:\n%s", test.args, word, stderr)
			}
		}
	}
}

// A gateway that can't be reached loses no job, and readiness says so.
func TestGatewayComesLate(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{})
	addr := servers.FreeAddr(t)
	w := s.worker("--gateway-url", "http://"+addr)
	for range 20 {
		s.publish([]byte(`{"wcId":"late"}`), nil)
		s.publish([]byte(`{"wcId":"later"}`), nil)
	}
	w.says("gateway breaker opened")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	late := &http.Server{Handler: s.gateway}
	t.Cleanup(func() { late.Close() })
	go func() { _ = late.Serve(l) }()
	s.check(40)
	for _, e := range s.events {
		if e.Outcome != worker.Succeeded || e.Reconciled {
			t.Errorf("%+v", e)
		}
	}
}

// A refused credential pauses its tenant, and no other, until the file changes.
func TestRefusedCredential(t *testing.T) {
	s := newSetting(t, gatewaytest.Options{Authorization: "right"})
	file := filepath.Join(t.TempDir(), "credential")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong\n")
	tenants := filepath.Join(t.TempDir(), "tenants.yaml")
	if err := os.WriteFile(tenants, []byte("acme: {authorizationFile: "+file+"}\nother: {authorization: right}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := s.worker("--tenants-file", tenants)
	s.publish([]byte(`{"wcId":"a","tenant":"acme","id":"paused"}`), nil)
	w.says("refused the credential")
	s.publish([]byte(`{"wcId":"b","tenant":"other","id":"passes"}`), nil)
	s.event("passes")
	s.mustRun("submit", "--tenant", "acme", "--deadline", "2s", "--id", "too-late", "c")
	if e := s.event("too-late"); e.Outcome != worker.Unauthorized || e.Prompted {
		t.Errorf("%+v", e)
	}
	write("right\n")
	if e := s.event("paused"); e.Outcome != worker.Succeeded {
		t.Errorf("%+v", e)
	}
	s.check(3)
	for _, secret := range []string{"right", "wrong"} {
		if strings.Contains(w.out.String(), secret) {
			t.Errorf("the log tells a credential:\n%s", w.out)
		}
	}
}
