package test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

// canary is in every secret that these tests plant; a login's are the gateway's.
const canary = "c4nary-"

var secrets = []string{canary, "FAKE-TOKEN", "FAKE-DATA", base64.StdEncoding.EncodeToString([]byte("proxy:" + canary))[:12]}

// silent fails the test when the text has one of the secrets.
func silent(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s tells %s: …%s", where, secret, text[max(0, i-200):min(len(text), i+60)])
		}
	}
}

// tellingGateway remembers who called, and for some accounts says more than it should.
type tellingGateway struct {
	*gatewaytest.Server
	elsewhere string // where it redirects to

	mu   sync.Mutex
	seen map[string]string // credentials by the first word of the account
}

func (g *tellingGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var ask struct{ WcID string }
	_ = json.Unmarshal(body, &ask)
	authorization := r.Header.Get("Authorization")
	kind, _, _ := strings.Cut(ask.WcID, "-")
	g.mu.Lock()
	g.seen[kind] = authorization + "|" + r.Header.Get("Proxy-Authorization")
	g.mu.Unlock()
	switch kind {
	case "echo":
		http.Error(w, "you sent "+authorization, http.StatusInternalServerError)
	case "refused":
		w.Header().Set("WWW-Authenticate", authorization)
		http.Error(w, "not "+authorization, http.StatusUnauthorized)
	case "redirected":
		http.Redirect(w, r, g.elsewhere+"/?"+canary+"location", http.StatusFound)
	case "garbage":
		fmt.Fprintf(w, `login({"code":"1000","data":{"token":"%sreply","wId":`, canary)
	default:
		g.Server.ServeHTTP(w, r)
	}
}

// guarded is a setting whose servers all want credentials.
type guarded struct {
	*setting
	gateway *tellingGateway
	redis   *redis.Client
	monitor string // the NATS server's own pages
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	monitor := servers.FreeAddr(t)
	natsServer := servers.StartNATS(t, func(o *server.Options) {
		o.Username, o.Password, o.HTTPHost = "user", canary+"nats", "127.0.0.1"
		_, _ = fmt.Sscanf(monitor, "127.0.0.1:%d", &o.HTTPPort)
	})
	natsURL := strings.Replace(natsServer.URL(), "//", "//user:"+canary+"nats@", 1)
	redisServer := servers.StartRedis(t, "--requirepass", canary+"redis")
	redisURL := "redis://:" + canary + "redis@" + redisServer.Addr
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with the credential %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	gw := gatewaytest.NewServer(gatewaytest.Options{NoList: true})
	t.Cleanup(gw.Close)
	g := &guarded{gateway: &tellingGateway{Server: gw, elsewhere: elsewhere.URL, seen: map[string]string{}}, monitor: "http://" + monitor}
	front := httptest.NewServer(g.gateway)
	t.Cleanup(front.Close)
	g.redis = redis.NewClient(&redis.Options{Addr: redisServer.Addr, Password: canary + "redis"})
	t.Cleanup(func() { _ = g.redis.Close() })

	g.setting = &setting{t: t, gateway: gw, name: "guarded", byJob: map[string][]*job.Event{}, more: make(chan struct{})}
	g.env = append(os.Environ(), "RELOGIN_NAMESPACE="+g.name, "RELOGIN_NATS_URL="+natsURL, "RELOGIN_REDIS_URL="+redisURL,
		"RELOGIN_GATEWAY_URL="+front.URL, "RELOGIN_GATEWAY_AUTHORIZATION=Bearer "+canary+"default",
		"RELOGIN_TENANTS_FILE="+g.tenants(), "HTTP_PROXY=http://proxy:"+canary+"proxy@"+strings.TrimPrefix(front.URL, "http://"),
		"RELOGIN_COOLDOWN=0s", "RELOGIN_ACK_WAIT=1s", "RELOGIN_MIN_CONFIRM_TIME=1s", "RELOGIN_LOG_LEVEL=debug")
	g.connect(natsURL)
	return g
}

// tenants writes a tenants file and returns its path. One tenant's gateway is behind the proxy.
func (g *guarded) tenants() string {
	dir := g.t.TempDir()
	plant(g.t, filepath.Join(dir, "token"), canary+"file\n")
	return plant(g.t, filepath.Join(dir, "tenants.yaml"), fmt.Sprintf(
		"acme: {authorization: %sacme}\nfiled: {authorizationFile: token}\nproxied: {url: 'http://gateway.invalid', authorization: %sfar}\nrefused: {authorization: %srefused}\n",
		canary, canary, canary))
}

// plant writes a file and returns its path.
func plant(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (g *guarded) connect(natsURL string) {
	t := g.t
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	g.nc = nc
	if g.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	silent(t, "setup", g.mustRun("setup"))
	g.follow()
}

var anyAddrPattern = regexp.MustCompile(`addr"?[=:]"?([0-9.]+:\d+)`)

// pages reads what the process serves, and that it serves nothing else.
func (g *guarded) pages(p *servers.Process) {
	t := g.t
	t.Helper()
	addr := anyAddrPattern.FindStringSubmatch(p.Log())
	if addr == nil {
		t.Fatalf("no address in:\n%s", p.Log())
	}
	for path, want := range map[string]int{
		"/metrics": 200, "/livez": 200, "/readyz": 200, "/": 404, "/debug/pprof/": 404, "/debug/pprof/cmdline": 404,
		"/debug/pprof/heap": 404, "/debug/vars": 404, "/config": 404, "/env": 404, "/metrics/": 404,
	} {
		status, text := get(t, "http://"+addr[1]+path)
		if status != want {
			t.Errorf("%s: HTTP %d, want %d", path, status, want)
		}
		silent(t, path, text)
	}
}

// get returns the status, and headers and body as one text.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, fmt.Sprint(resp.Header, "\n", string(body))
}

// keys returns all that Redis holds, as text.
func (g *guarded) keys() string {
	t := g.t
	t.Helper()
	var all strings.Builder
	for iter := g.redis.Scan(t.Context(), 0, "*", 1000).Iterator(); iter.Next(t.Context()); {
		key := iter.Val()
		var value any
		switch kind := g.redis.Type(t.Context(), key).Val(); kind {
		case "string":
			value = g.redis.Get(t.Context(), key).Val()
		case "hash":
			value = g.redis.HGetAll(t.Context(), key).Val()
		case "list":
			value = g.redis.LRange(t.Context(), key, 0, -1).Val()
		case "none": // it has expired meanwhile
		default:
			t.Errorf("the key %s is a %s, which this test can't read", key, kind)
		}
		fmt.Fprintf(&all, "%s %v\n", key, value)
	}
	return all.String()
}

// A whole run with a secret wherever there can be one: each gets to where it belongs,
// and nothing that is printed, served, logged or kept for operators tells any.
func TestSecretsStaySecret(t *testing.T) {
	g := newGuarded(t)
	watch := g.start("watch", "--log-format", "text")
	w := g.worker("--log-format", "json")
	w.WaitForLog("worker ready")
	g.pages(w)
	jobs := g.submitAll("json")
	before := g.monitored()
	if !strings.Contains(before, "relogin worker") || !strings.Contains(before, `"urgent"`) {
		t.Errorf("the monitor shows no worker and no consumer:\n%s", before)
	}
	silent(t, "the NATS server", before)
	g.pages(w)
	if status := w.Terminate(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	text := g.worker("--log-format", "text")
	text.WaitForLog("worker ready")
	jobs += g.submitAll("text")
	g.pages(text)
	text.Terminate()
	watch.WaitForLog("plain-text")
	g.check(jobs)
	g.delivered()
	for name, p := range map[string]*servers.Process{"the log as json": w, "the log as text": text, "watch": watch} {
		silent(t, name, p.Log())
	}
	for _, where := range []string{"redis", "nats", "default", "acme", "file", "far", "refused", "proxy"} {
		if strings.Contains(g.keys(), canary+where) {
			t.Errorf("Redis holds the secret %s%s", canary, where)
		}
	}
}

// submitAll sends jobs that end in every way, with ids that end in run, and returns how
// many events they have.
func (g *guarded) submitAll(run string) (events int) {
	g.t.Helper()
	send := func(kind, rest string) {
		id := kind + "-" + run
		g.publish(fmt.Appendf(nil, `{"wcId":%q,"id":%q,%s}`, id, id, rest), nil)
		g.event(id)
		events++
	}
	for kind, tenant := range map[string]string{
		"plain": "default", "decline": "acme", "filed": "filed", "far": "proxied", "echo": "acme",
		"redirected": "acme", "garbage": "default", "half": "default", "scan": "default",
	} {
		send(kind, fmt.Sprintf(`"tenant":%q,"labels":{"k":"%slabel"},"x":"%sunknown"`, tenant, canary, canary))
	}
	send("refused", fmt.Sprintf(`"tenant":"refused","deadline":%d`, time.Now().Add(1200*time.Millisecond).UnixMilli()))
	send("dead1", `"type":"two","labels":{"k":"`+canary+`dead"}`)
	send("dead2", `"labels":{"k":"`+canary+`dead`+strings.Repeat("x", 256)+`"}`)
	send("dead3", `"tenant":"nobody","x":["`+canary+`dead"]`)
	g.publish([]byte(`{"wcId":"x","labels":{"`+canary+`dead":`), nil)
	g.publish([]byte(canary+"dead"), nil)
	return events
}

// monitored returns what the NATS server shows of connections, streams and consumers.
func (g *guarded) monitored() string {
	g.t.Helper()
	_, connections := get(g.t, g.monitor+"/connz?subs=1")
	_, streams := get(g.t, g.monitor+"/jsz?streams=1&consumers=1&config=1")
	return connections + streams
}

// delivered sees that each secret was where it belongs: else nothing was tested.
func (g *guarded) delivered() {
	t := g.t
	t.Helper()
	proxy := "Basic " + base64.StdEncoding.EncodeToString([]byte("proxy:"+canary+"proxy"))
	for wcID, want := range map[string]string{
		"plain": "Bearer " + canary + "default|", "decline": canary + "acme|", "filed": canary + "file|", "far": canary + "far|" + proxy,
		"echo": canary + "acme|", "redirected": canary + "acme|", "refused": canary + "refused|", "garbage": "Bearer " + canary + "default|",
	} {
		if got := g.gateway.seen[wcID]; got != want {
			t.Errorf("%s: the gateway got %q, want %q", wcID, got, want)
		}
	}
	if e := g.event("plain-json"); e.Login == nil || !strings.HasPrefix(e.Login.Token, "FAKE-TOKEN") || e.Labels["k"] != canary+"label" {
		t.Errorf("the event has no login: %+v", e)
	}
	for _, e := range g.events {
		silent(t, "the event of "+e.JobID, e.Code+e.Message+e.Worker+e.ID)
	}
	for _, letter := range g.dead(10) {
		if !strings.Contains(string(letter.Data()), canary+"dead") {
			t.Errorf("a dead letter is not as it was sent: %s", letter.Data())
		}
		silent(t, "a dead letter's header", fmt.Sprint(letter.Headers()))
	}
}

// Settings that are wrong are told without the secrets in them or near them.
func TestWrongSettingsTellNoSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string { return plant(t, filepath.Join(dir, name), text) }
	url := func(scheme string) string { return scheme + "://user:" + canary + "x@127.0.0.1:1" }
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"nats scheme":     {[]string{"--nats-url", url("ftp")}, 2, "--nats-url"},
		"nats port":       {[]string{"--nats-url", url("nats") + "x"}, 2, "--nats-url"},
		"nats token":      {[]string{"--nats-url", "http://" + canary + "@h"}, 2, "--nats-url"},
		"redis scheme":    {[]string{"--redis-url", url("http")}, 2, "--redis-url"},
		"redis query":     {[]string{"--redis-url", "http://h?sentinel_password=" + canary}, 2, "--redis-url"},
		"gateway user":    {[]string{"--gateway-url", url("http")}, 2, "--gateway-url"},
		"gateway query":   {[]string{"--gateway-url", "http://h/?key=" + canary}, 2, "--gateway-url"},
		"authorization":   {[]string{"--gateway-authorization", canary + "\nX: y"}, 2, "--gateway-authorization"},
		"unknown flag":    {[]string{"--gateway-authorisation=" + canary}, 2, "unknown flag"},
		"sealed to seed":  {[]string{"--event-secrets", "seal:SX" + canary}, 2, "--event-secrets"},
		"config syntax":   {[]string{"--config", file("a", "gateway-authorization: \""+canary+"\nx: [\n")}, 2, "not valid YAML"},
		"config key":      {[]string{"--config", file("b", "gateway-authorisation: "+canary+"\n")}, 2, "unknown setting"},
		"config nested":   {[]string{"--config", file("c", "gateway-authorization: {token: "+canary+"}\n")}, 2, "want one value"},
		"config url":      {[]string{"--config", file("d", "redis-url: "+url("http")+"\n")}, 2, "redis-url"},
		"tenants syntax":  {[]string{"--tenants-file", file("e", "a:\n  authorization: \""+canary+"\nb: [\n")}, 2, "line"},
		"tenants key":     {[]string{"--tenants-file", file("f", "a:\n  autorization: "+canary+"\n")}, 2, "unknown key"},
		"tenants flow":    {[]string{"--tenants-file", file("j", "a: {authorization: Bearer, "+canary+"}\n")}, 2, "line 1"},
		"two words":       {[]string{"--gateway-authorization", "Bearer", canary}, 2, "quote a value"},
		"no host":         {[]string{"--redis-url", "redis://:" + canary + ":6379/0"}, 2, "redis-url"},
		"tenants list":    {[]string{"--tenants-file", file("g", "- "+canary+"\n")}, 2, "line 1"},
		"tenants url":     {[]string{"--tenants-file", file("h", "a: {url: '"+url("http")+"'}\n")}, 2, "user or password"},
		"tenants newline": {[]string{"--tenants-file", file("i", "a: {authorization: \""+canary+"\\nX: y\"}\n")}, 2, "line break"},
		"two credentials": {[]string{"--gateway-authorization", canary, "--gateway-authorization-file", file("j", canary)}, 2, "only one"},
		"empty seed":      {[]string{"--nats-nkey", file("k", canary)}, 1, "nkey"},
		"creds of noise":  {[]string{"--nats-creds", file("l", canary)}, 1, "nats"},
	} {
		t.Run(name, func(t *testing.T) {
			natsURL := strings.Replace(servers.NATS(t), "//", "//user:"+canary+"@", 1)
			status, stdout, stderr := run(t, append(os.Environ(), "RELOGIN_NATS_URL="+natsURL), "", append([]string{"worker"}, test.args...)...)
			if status != test.status || !strings.Contains(stderr, test.says) {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, test.status, test.says, stderr)
			}
			silent(t, "the error", stdout+stderr)
		})
	}
}

// What the environment holds is not in the help, and not in the version.
func TestHelpTellsNoSecret(t *testing.T) {
	env := append(os.Environ(), "RELOGIN_GATEWAY_AUTHORIZATION="+canary, "RELOGIN_NATS_URL=nats://u:"+canary+"@h",
		"RELOGIN_REDIS_URL=redis://:"+canary+"@h", "NATS_URL=nats://"+canary+"@h")
	for _, command := range []string{"--help", "worker --help", "submit --help", "setup --help", "dev --help", "watch --help", "health --help", "gateway --help", "version", "nonsense"} {
		_, stdout, stderr := run(t, env, "", strings.Fields(command)...)
		if stdout+stderr == "" {
			t.Errorf("relogin %s says nothing", command)
		}
		silent(t, "relogin "+command, stdout+stderr)
	}
}

// A seed signs, and is shown to nobody: not when it is right, nor when it is refused.
func TestSeedStaysSecret(t *testing.T) {
	var users []*server.NkeyUser
	seeds := map[int]string{}
	for _, status := range []int{0, 1} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, _ := pair.PublicKey()
		seed, _ := pair.Seed()
		if seeds[status] = string(seed); status == 0 {
			users = append(users, &server.NkeyUser{Nkey: public})
		}
	}
	guarded := servers.StartNATS(t, func(o *server.Options) { o.Nkeys = users })
	for want, seed := range seeds {
		path := plant(t, filepath.Join(t.TempDir(), "seed"), seed+"\n")
		status, stdout, stderr := run(t, os.Environ(), "", "setup", "--nats-url", guarded.URL(), "--nats-nkey", path, "--log-level", "debug")
		if status != want {
			t.Errorf("exit status %d, want %d:\n%s", status, want, stderr)
		}
		if strings.Contains(stdout+stderr, seed) {
			t.Errorf("it tells the seed:\n%s%s", stdout, stderr)
		}
	}
}
