package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is refused ends a worker with status 1, and is named.
func (d *deployment) testRefusedCredentials(t *testing.T) {
	others := newAuthority(t)
	stranger := newNATSUser(t, "_INBOX_worker")
	foreign, expired := others.client(time.Now().Add(time.Hour)), d.ca.client(time.Now().Add(-time.Minute))
	redisURL := d.redis.env()[0]
	master := "rediss://%s@" + d.redis.nodes[0].addr
	for name, test := range map[string]struct {
		env  []string
		says string
	}{
		"nats: another CA":                {[]string{"RELOGIN_NATS_CA=" + others.file}, "unknown authority"},
		"nats: a foreign certificate":     {[]string{"RELOGIN_NATS_CERT=" + foreign.cert, "RELOGIN_NATS_KEY=" + foreign.key}, "certificate"},
		"nats: an expired certificate":    {[]string{"RELOGIN_NATS_CERT=" + expired.cert, "RELOGIN_NATS_KEY=" + expired.key}, "expired certificate"},
		"nats: no certificate":            {[]string{"RELOGIN_NATS_CERT=", "RELOGIN_NATS_KEY="}, "certificate required"},
		"nats: an unknown nkey":           {[]string{"RELOGIN_NATS_NKEY=" + stranger.seed}, "Authorization Violation"},
		"nats: no nkey":                   {[]string{"RELOGIN_NATS_NKEY="}, "Authorization Violation"},
		"nats: the inbox of another user": {[]string{"RELOGIN_NATS_INBOX_PREFIX=_INBOX_upstream"}, "grant"},
		"nats: upstream's user":           {d.nats.env("UPSTREAM"), "grant"},
		"redis: a wrong password":         {[]string{strings.Replace(redisURL, ":"+password("relogin")+"@", ":secret-of-nobody@", 1)}, "WRONGPASS"},
		"redis: wrong at the sentinels":   {[]string{strings.Replace(redisURL, "sentinel_password="+password("relogin"), "sentinel_password=secret-of-nobody", 1)}, "WRONGPASS"},
		"redis: another CA":               {[]string{"SSL_CERT_FILE=" + others.file}, "unknown authority"},
		"redis: a wrong password, no sentinel": {[]string{"RELOGIN_REDIS_SENTINEL_MASTER=",
			"RELOGIN_REDIS_URL=" + strings.Replace(master, "%s", "relogin:secret-of-nobody", 1)}, "WRONGPASS"},
		"redis: another CA, no sentinel": {[]string{"SSL_CERT_FILE=" + others.file, "RELOGIN_REDIS_SENTINEL_MASTER=",
			"RELOGIN_REDIS_URL=" + strings.Replace(master, "%s", "relogin:"+password("relogin"), 1)}, "unknown authority"},
		"redis: a permission, no sentinel": {[]string{"RELOGIN_REDIS_SENTINEL_MASTER=",
			"RELOGIN_REDIS_URL=" + strings.Replace(master, "%s", "replica:"+password("replica"), 1)}, "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, slices.Concat(d.workerEnv(), test.env), "worker")
			p.WaitForLog(test.says)
			if status := p.Wait(); status != 1 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

// A server that wants TLS and a client that does not speak it have nothing to say to each
// other: the worker waits, and says for what.
func (d *deployment) testRedisWithoutTLS(t *testing.T) {
	url := strings.ReplaceAll(d.redis.env()[0], "rediss:", "redis:")
	p := start(t, append(d.workerEnv(), url), "worker")
	p.WaitForLog("does the server want TLS, rediss://?")
	mustTerminate(t, p)
}

// A gateway whose certificate is not trusted gets no request, and loses no job.
func (d *deployment) testGatewayOfAnotherCA(t *testing.T) {
	gateway, url := startGateway(t, newAuthority(t))
	submit := start(t, d.nats.env("WAITING_UPSTREAM"), "submit", "--wait", "certificate")
	p := start(t, append(d.workerEnv(), "RELOGIN_GATEWAY_URL="+url), "worker")
	p.WaitForLog("unknown authority")
	mustTerminate(t, p)
	if stats := gateway.Stats(); stats.Prompts != 0 {
		t.Errorf("the gateway got a request: %+v", stats)
	}
	w := start(t, d.workerEnv(), "worker")
	if status := submit.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	mustTerminate(t, w)
	checkNotRefused(t, p, w)
}

// A context of the nats command line has all that the flags have.
func (d *deployment) testContext(t *testing.T) {
	home, user := t.TempDir(), d.nats.users["UPSTREAM"]
	text, err := json.Marshal(map[string]string{
		"description": "relogin", "url": d.nats.urls, "nkey": user.seed, "ca": d.ca.file,
		"cert": d.nats.cert.cert, "key": d.nats.cert.key, "inbox_prefix": user.inbox,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "nats", "context", "upstream.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"upstream", path} {
		mustRun(t, []string{"XDG_CONFIG_HOME=" + home}, "submit", "--nats-context", name, "context")
	}
	if status, _, stderr := run(t, []string{"XDG_CONFIG_HOME=" + home}, "submit", "--nats-context", "other", "context"); status != 1 || !strings.Contains(stderr, "other") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}
