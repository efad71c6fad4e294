package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/worker/gateway/postonce"
)

// TestRequestIsNetHTTPs compares requests with those of net/http.
func TestRequestIsNetHTTPs(t *testing.T) {
	for _, base := range []string{
		"http://gateway", "https://gateway", "http://gateway:80", "http://gateway:", "http://127.0.0.1:8080/", "https://[::1]:8443/api/",
		"http://[fe80::1]", "http://g/a%2Fb/c d/网关", "HTTPS://Gateway.Example:443//x//", "http://g/%41/;p=1/@:",
		"http://网关.example", "https://bücher.example:8443/x", "http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]:80", "http://a%25b",
	} {
		one, err := newTenant("t", tenantEntry{URL: base, Authorization: " \tBearer x=  "}, "")
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		checkRequest(t, one)
	}
}

// checkRequest compares a tenant's request with net/http's, header by header.
func checkRequest(t *testing.T, one *tenant) {
	t.Helper()
	body := []byte(`{"x":1}`)
	made, err := http.NewRequest(http.MethodPost, one.url+"/secondLogin", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	made.Header = http.Header{"Content-Type": {"application/json"}, "User-Agent": {"relogin"}}
	if one.authorization != "" {
		made.Header.Set("Authorization", one.authorization)
	}
	var theirs bytes.Buffer
	if err := made.Write(&theirs); err != nil {
		t.Fatal(err)
	}
	ours := one.secondLogin.Request(body)
	want, got := parts(theirs.Bytes()), parts(ours)
	if len(want) != len(got) {
		t.Errorf("%s: %d parts, want %d", one.url, len(got), len(want))
	}
	for part := range want {
		if !got[part] {
			t.Errorf("%s: %q is not in %q", one.url, part, ours)
		}
	}
	if r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(ours))); err != nil || r.ContentLength != int64(len(body)) {
		t.Errorf("%s: can't be read: %v", one.url, err)
	}
}

func parts(request []byte) map[string]bool {
	all := map[string]bool{}
	for line := range strings.SplitSeq(string(request), "\r\n") {
		all[line] = true
	}
	return all
}

// TestProxyOfEnvironment runs itself in a process that has HTTP_PROXY set: the
// environment is read once.
func TestProxyOfEnvironment(t *testing.T) {
	const inside = "http://gateway.invalid/base"
	if os.Getenv("HTTP_PROXY") != "" && os.Getenv("RELOGIN_TEST_PROXIED") != "" {
		mustCall(t, newClient(t, Options{URL: inside}))
		return
	}
	var seen atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.RequestURI)
		_, _ = io.WriteString(w, declined)
	}))
	defer proxy.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestProxyOfEnvironment$")
	child.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "RELOGIN_TEST_PROXIED=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := seen.Load(); got != inside+"/secondLogin" {
		t.Errorf("the proxy was asked for %v", got)
	}
}

// proxied has the client's calls go through a proxy.
func proxied(t *testing.T, c *Client) *Client { return through(t, c, serveRaw(t, (*peer).Forward)) }

func through(t *testing.T, c *Client, proxy string) *Client {
	t.Helper()
	at, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range c.settings.Load().tenants {
		for path, endpoint := range map[string]**postonce.Endpoint{"/secondLogin": &one.secondLogin, "/queryLoginWx": &one.queryLogin} {
			to, err := url.Parse(one.url + path)
			if err != nil {
				t.Fatal(err)
			}
			*endpoint = postonce.NewEndpoint(to, http.ProxyURL(at), header(one.authorization))
		}
	}
	return c
}

// direct leaves the client as it is.
func direct(_ *testing.T, c *Client) *Client { return c }
