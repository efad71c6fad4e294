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
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestStartWaitsForItsServers(t *testing.T) {
	for name, waits := range map[string][]string{
		"nats":  {"--nats-url", "nats://user:secret@" + servers.FreeAddr(t)},
		"redis": {"--nats-url", servers.NATS(t), "--redis-url", "redis://user:secret@" + servers.FreeAddr(t)},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, os.Environ(), append([]string{"worker", "--http-addr", "127.0.0.1:0"}, waits...)...)
			p.WaitForLog("waiting for " + name)
			if strings.Contains(p.Log(), "secret") {
				t.Errorf("the log tells the password:\n%s", p.Log())
			}
			if status := p.Terminate(); status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

func TestStartSaysWhatIsRefused(t *testing.T) {
	servers.SkipIfShort(t, "it waits for requests that are not answered")
	guarded := servers.StartNATS(t, func(o *server.Options) { o.Username, o.Password = "user", "right" })
	redis := servers.StartRedis(t, "--requirepass", "right", "--user", "weak", "on", ">right", "~*", "+ping")
	refusing := servers.StartNATS(t, func(o *server.Options) {
		deny := func(name string, subjects ...string) *server.User {
			return &server.User{Username: name, Password: "right", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: subjects}}}
		}
		o.Users = []*server.User{
			deny("nothing", ">"),
			deny("take", "$JS.API.CONSUMER.MSG.NEXT.>"),
			deny("tell", "relogin.events.>"),
		}
	})
	with := func(url, user string) string { return strings.Replace(url, "//", "//"+user+"@", 1) }
	for name, test := range map[string]struct {
		natsURL, redisURL string
		says              []string
	}{
		"nats user":       {guarded.URL(), redis.URL(), []string{"Authorization", "--nats-creds", "--nats-nkey", "--nats-url nats://user:password@"}},
		"nats password":   {with(guarded.URL(), "user:wrong"), redis.URL(), []string{"Authorization", "--nats-url"}},
		"nats permission": {with(refusing.URL(), "nothing:right"), redis.URL(), []string{"grant this user the permission"}},
		"no taking":       {with(refusing.URL(), "take:right"), redis.URL(), []string{"grant it", "$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS."}},
		"no events":       {with(refusing.URL(), "tell:right"), redis.URL(), []string{"grant it", "relogin.events."}},
		"redis user":      {servers.NATS(t), redis.URL(), []string{"NOAUTH", "--redis-url redis://user:password@"}},
		"redis password":  {servers.NATS(t), with(redis.URL(), ":wrong"), []string{"WRONGPASS", "--redis-url redis://user:password@"}},
		"redis right":     {servers.NATS(t), with(redis.URL(), "weak:right"), []string{"NOPERM", "--redis-url", "deploy/redis/users.acl"}},
		"no redis":        {servers.NATS(t), servers.EmbeddedRedis(t), []string{"is no Redis to lock on", "Redis 6.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, _, stderr := run(t, os.Environ(), "", "worker", "--nats-url", test.natsURL, "--redis-url", test.redisURL)
			if status != 1 || strings.Contains(stderr, "wrong@") {
				t.Errorf("exit status %d:\n%s", status, stderr)
			}
			for _, want := range test.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, stderr)
				}
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
	w.WaitForLog("gateway breaker opened")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	late := &http.Server{Handler: s.gateway}
	t.Cleanup(func() { late.Close() })
	go func() { _ = late.Serve(l) }()
	s.check(40)
	for _, e := range s.events {
		if e.Outcome != job.Succeeded || e.Reconciled {
			t.Errorf("%+v", e)
		}
	}
}

// A refused credential pauses its tenant, and no other, until the file changes.
func TestRefusedCredential(t *testing.T) {
	servers.SkipIfShort(t, "it waits until a refused credential is tried again")
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
	w.WaitForLog("refused the credential")
	s.publish([]byte(`{"wcId":"b","tenant":"other","id":"passes"}`), nil)
	s.event("passes")
	s.mustRun("submit", "--tenant", "acme", "--deadline", "2s", "--id", "too-late", "c")
	if e := s.event("too-late"); e.Outcome != job.Unauthorized || e.Prompted {
		t.Errorf("%+v", e)
	}
	write("right\n")
	if e := s.event("paused"); e.Outcome != job.Succeeded {
		t.Errorf("%+v", e)
	}
	s.check(3)
	for _, secret := range []string{"right", "wrong"} {
		if strings.Contains(w.Log(), secret) {
			t.Errorf("the log tells a credential:\n%s", w.Log())
		}
	}
}
