package postonce

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Endpoint is where requests go, and what they have in common. It does not change.
type Endpoint struct {
	err    error // why none can be made
	server host
	proxy  *proxy // nil: none
	tunnel string // what asks an HTTP proxy for a tunnel to the server; "": none is needed
	route  string // connections of one route serve each other's calls

	start string // of a request's head, up to the path
	end   string // of a request's head, up to the length of the body
}

// NewEndpoint returns the endpoint at base, an http or https URL without user, query and
// fragment. All requests have the header. They go through the proxy that is returned for
// base, as in [http.Transport]. Where a host's name or the proxy is no good each call fails,
// with an error that shows neither the proxy's user nor its password.
func NewEndpoint(base *url.URL, proxyFor func(*http.Request) (*url.URL, error), header http.Header) *Endpoint {
	e := &Endpoint{}
	if e.server, e.err = hostOf(base); e.err == nil {
		e.proxy, e.err = proxyOf(base, proxyFor)
	}
	e.route = e.server.scheme + "://" + e.server.address
	name := hostHeader(base, e.server.name)
	target, credential := "", ""
	if p := e.proxy; p != nil {
		switch {
		case p.socks():
		case e.server.secure():
			e.tunnel = "CONNECT " + e.server.address + " HTTP/1.1\r\nHost: " + e.server.address +
				"\r\nUser-Agent: " + header.Get("User-Agent") + "\r\n" + p.authorization() + "\r\n"
		default:
			e.route = "" // the proxy takes calls to all servers
			target, credential = base.Scheme+"://"+name, p.authorization()
		}
		e.route += " " + p.url.String()
	}
	var lines strings.Builder
	_ = header.Write(&lines) // a builder never fails
	e.start = "POST " + target + strings.TrimRight(base.EscapedPath(), "/")
	e.end = " HTTP/1.1\r\nHost: " + name + "\r\n" + credential + lines.String() + "Content-Length: "
	return e
}

// host is what a connection is made to.
type host struct {
	scheme  string
	name    string // as DNS and certificates have it
	address string // with its port
}

var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func hostOf(u *url.URL) (host, error) {
	name, port := u.Hostname(), u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	if ports[u.Scheme] == "" {
		return host{}, errors.New("the scheme is none of http, https, socks5, socks5h")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return host{}, fmt.Errorf("name of the host: %w", err)
		}
	}
	if name == "" { // also one of characters that mean nothing: it would be this machine
		return host{}, errors.New("the name of the host is empty")
	}
	return host{u.Scheme, name, net.JoinHostPort(name, port)}, nil
}

func (h *host) secure() bool { return h.scheme == "https" }

func (h *host) socks() bool { return strings.HasPrefix(h.scheme, "socks5") }

// proxy is what connections are made through.
type proxy struct {
	host
	url *url.URL
}

// proxyOf returns the proxy to base, nil if there is none.
func proxyOf(base *url.URL, proxyFor func(*http.Request) (*url.URL, error)) (*proxy, error) {
	u, err := proxyFor(&http.Request{URL: base})
	if u == nil || err != nil {
		return nil, err
	}
	at, err := hostOf(u)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &proxy{at, u}, nil
}

// authorization returns the line of a head that has the user and password; "" if there are none.
func (p *proxy) authorization() string {
	if p.url.User == nil {
		return ""
	}
	password, _ := p.url.User.Password()
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.url.User.Username()+":"+password)) + "\r\n"
}

// hostHeader returns what requests call the host of that name: with the port if the URL
// has one, and without an IPv6 address's zone, which means nothing to others.
func hostHeader(u *url.URL, name string) string {
	if strings.Contains(name, ":") {
		name, _, _ = strings.Cut(name, "%")
		name = "[" + name + "]"
	}
	if u.Port() != "" {
		name += ":" + u.Port()
	}
	return name
}

// Request returns the bytes that [Client.Post] sends.
func (e *Endpoint) Request(path string, body []byte) []byte {
	const rest = len("65536\r\n\r\n")
	r := make([]byte, 0, len(e.start)+len(path)+len(e.end)+rest+len(body))
	r = append(append(append(r, e.start...), path...), e.end...)
	r = append(strconv.AppendInt(r, int64(len(body)), 10), "\r\n\r\n"...)
	return append(r, body...)
}
