package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/relogin/relogin/worker"
)

// TestRequestIsNetHTTPs compares requests with those of net/http.
func TestRequestIsNetHTTPs(t *testing.T) {
	for _, base := range []string{
		"http://gateway", "https://gateway", "http://gateway:80", "http://gateway:", "http://127.0.0.1:8080/", "https://[::1]:8443/api/",
		"http://[fe80::1]", "http://g/a%2Fb/c d/网关", "HTTPS://Gateway.Example:443//x//", "http://g/%41/;p=1/@:",
	} {
		one, err := newTenant("t", tenantEntry{URL: base, Authorization: " \tBearer x=  "})
		if err != nil || !one.direct {
			t.Errorf("%s: %v, direct: %v", base, err, err == nil && one.direct)
			continue
		}
		checkRequest(t, one)
	}
	for _, base := range []string{"http://网关.example", "http://[fe80::1%25eth0]/"} {
		if one, err := newTenant("t", tenantEntry{URL: base}); err != nil || one.direct {
			t.Errorf("%s: %v, not left to net/http", base, err)
		}
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
	ours := one.request("/secondLogin", body)
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

// FuzzSecondLoginBody compares the body with what encoding/json makes of it.
func FuzzSecondLoginBody(f *testing.F) {
	f.Add("wxid_1", 2, "", "")
	f.Add("a\"b\\c<d>&", -1<<63, "\u2028\x00\x7f", "失\xff")
	f.Fuzz(func(t *testing.T, wcID string, kind int, ttuid, aid string) {
		want, err := json.Marshal(struct {
			WcID  string `json:"wcId"`
			Type  int    `json:"type"`
			TTUID string `json:"ttuid,omitempty"`
			AID   string `json:"aid,omitempty"`
		}{wcID, kind, ttuid, aid})
		if err != nil {
			t.Fatal(err)
		}
		if got := secondLoginBody(&worker.Job{WcID: wcID, Type: kind, TTUID: ttuid, AID: aid}); !bytes.Equal(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// halfConn takes n bytes of each write, over a TLS that tells of none.
type halfConn struct {
	net.Conn
	n      int
	socket *socket
}

func (h halfConn) Write(p []byte) (int, error) {
	if h.socket != nil {
		h.socket.taken += h.n
		return 0, io.ErrClosedPipe
	}
	return h.n, io.ErrClosedPipe
}

func TestWriteKnowsWhatGotOut(t *testing.T) {
	for n, want := range []bool{false, true} {
		tcp := &conn{stream: halfConn{n: n}}
		tls := &conn{}
		tls.stream = halfConn{n: n, socket: &tls.socket}
		for kind, c := range map[string]*conn{"TCP": tcp, "TLS": tls} {
			if started, err := c.write([]byte("xy")); started != want || err == nil {
				t.Errorf("%s took %d bytes: started %v, %v", kind, n, started, err)
			}
		}
	}
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

// relayed makes the client's calls take the way of those that need a proxy.
func relayed(c *Client) *Client {
	for _, one := range c.settings.Load().tenants {
		one.direct = false
	}
	return c
}
