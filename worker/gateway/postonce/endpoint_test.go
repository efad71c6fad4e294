package postonce

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestRequestToAProxy compares requests with those of net/http.
func TestRequestToAProxy(t *testing.T) {
	for _, base := range []string{"http://gateway/", "http://gateway:80/a%2Fb/", "http://gateway:", "http://[fe80::1%25eth0]:8080/x", "http://网关.example"} {
		u, err := url.Parse(strings.TrimRight(base, "/") + "/x")
		if err != nil {
			t.Fatal(err)
		}
		e := NewEndpoint(u, http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy"}), http.Header{"User-Agent": {"test"}})
		made, err := http.NewRequest(http.MethodPost, u.String(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		made.Header.Set("User-Agent", "test")
		var theirs bytes.Buffer
		if err := made.WriteProxy(&theirs); err != nil {
			t.Fatal(err)
		}
		if ours := string(e.Request([]byte("{}"))); ours != theirs.String() {
			t.Errorf("%s: got %q, want %q", base, ours, &theirs)
		}
	}
}

// TestForeignName has a host of another script: what is dialled, what TLS asks for, and
// what the request calls it.
func TestForeignName(t *testing.T) {
	const name = "xn--bcher-kva.example"
	s := certified(t)
	asked, sni := make(chan string, 1), make(chan string, 1)
	config := s.TLS.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		sni <- hello.ServerName
		return nil, nil //nolint:nilnil // to crypto/tls it means the config that there is
	}
	at := serve(t, config, func(p *peer) {
		if r := p.Peek(); r != nil {
			asked <- r.Host
		}
		answer(p)
	}).Host
	for base, port := range map[string]string{"https://bücher.example": "", "https://BÜCHER.example:8443/": ":8443"} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		c := newCaller(t, u, nil)
		c.TLS.InsecureSkipVerify = true
		dialled, dial := "", c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = address
			return dial(ctx, network, at)
		}
		c.mustCall(t, 1, always)
		want := name + ":8443"
		if port == "" {
			want = name + ":443"
		}
		if host, server := <-asked, <-sni; host != name+port || server != name || dialled != want {
			t.Errorf("%s: the host %q, SNI %q, dialled %q", base, host, server, dialled)
		}
	}
}

func TestUnusableEndpoints(t *testing.T) {
	ok := &url.URL{Scheme: "http", Host: "gateway"}
	for name, tt := range map[string]struct{ base, proxy *url.URL }{
		"no name":             {&url.URL{Scheme: "http", Host: "网_关"}, nil},
		"a proxy of no name":  {ok, &url.URL{Scheme: "http", Host: "网_关", User: url.UserPassword("me", secret)}},
		"a proxy of no known": {ok, &url.URL{Scheme: "gopher", Host: "proxy", User: url.UserPassword("me", secret)}},
	} {
		err := newCaller(t, tt.base, tt.proxy).mustFail(t, false, 0, always)
		if err == nil || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
