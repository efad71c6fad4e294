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
	server host
	proxy  *proxy // nil: none
	tunnel string // what asks an HTTP proxy for a tunnel to the server; "": none is needed
	route  string // connections of one route serve each other's calls

	start string // of a request's head, up to the path
	end   string // of a request's head, up to the length of the body
}

// proxy is what connections are made through.
type proxy struct {
	host
	user *url.Userinfo // nil: none
}

// host is what a connection is made to.
type host struct {
	scheme  string
	name    string // as DNS and certificates have it
	address string // with its port
}

var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// hostOf returns the URL's host.
func hostOf(u *url.URL) (host, error) {
	h := host{scheme: u.Scheme, name: u.Hostname()}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	if strings.ContainsFunc(h.name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var err error
		if h.name, err = idna.Lookup.ToASCII(h.name); err != nil {
			return host{}, fmt.Errorf("name of the host: %w", err)
		}
	}
	h.address = net.JoinHostPort(h.name, port)
	return h, nil
}

func (h *host) secure() bool { return h.scheme == "https" }

func (h *host) socks() bool { return strings.HasPrefix(h.scheme, "socks5") }

// NewEndpoint returns the endpoint at base, an http or https URL without user, query and
// fragment, which is reached through the proxy unless that is nil. All requests have the
// header. No error shows a part of the proxy's user or password.
func NewEndpoint(base, through *url.URL, header http.Header) (*Endpoint, error) {
	server, err := hostOf(base)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{server: server, route: server.scheme + "://" + server.address}
	name := hostHeader(base, server.name)
	target, credential := "", ""
	if through != nil {
		at, err := hostOf(through)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		if ports[at.scheme] == "" {
			return nil, errors.New("proxy: the scheme is none of http, https, socks5, socks5h")
		}
		e.proxy = &proxy{at, through.User}
		switch authorization := e.proxy.authorization(); {
		case at.socks():
			e.route += " " + through.String()
		case server.secure():
			e.route += " " + through.String()
			e.tunnel = "CONNECT " + server.address + " HTTP/1.1\r\nHost: " + server.address +
				"\r\nUser-Agent: " + header.Get("User-Agent") + "\r\n" + authorization + "\r\n"
		default: // the proxy takes calls to all servers
			e.route = through.String()
			target, credential = base.Scheme+"://"+name, authorization
		}
	}
	var lines strings.Builder
	_ = header.Write(&lines) // a builder never fails
	e.start = "POST " + target + strings.TrimRight(base.EscapedPath(), "/")
	e.end = " HTTP/1.1\r\nHost: " + name + "\r\n" + credential + lines.String() + "Content-Length: "
	return e, nil
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

// authorization returns the line of a head that has the user and password; "" if there are none.
func (p *proxy) authorization() string {
	if p.user == nil {
		return ""
	}
	password, _ := p.user.Password()
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.user.Username()+":"+password)) + "\r\n"
}

// Request returns the bytes that [Client.Post] sends.
func (e *Endpoint) Request(path string, body []byte) []byte {
	const rest = len("65536\r\n\r\n")
	r := make([]byte, 0, len(e.start)+len(path)+len(e.end)+rest+len(body))
	r = append(append(append(r, e.start...), path...), e.end...)
	r = append(strconv.AppendInt(r, int64(len(body)), 10), "\r\n\r\n"...)
	return append(r, body...)
}
