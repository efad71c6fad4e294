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
	server *host
	proxy  *host  // nil: none
	tunnel string // what asks an HTTP proxy for a tunnel to the server; "": none is needed
	route  string // connections of one route serve each other's calls

	start, end string // of a request's head, before and after the length of the body
}

// NewEndpoint returns the endpoint at an http or https URL without user, query and
// fragment. All requests have the header. They go through the proxy that is returned for
// the URL, as in [http.Transport]. Where a host's name or the proxy is no good each call
// fails, with an error that shows neither the proxy's user nor its password.
func NewEndpoint(at *url.URL, proxyFor func(*http.Request) (*url.URL, error), header http.Header) *Endpoint {
	e := &Endpoint{}
	if e.server, e.err = hostOf(at); e.err == nil {
		e.proxy, e.err = proxyOf(at, proxyFor)
	}
	post, err := http.NewRequest(http.MethodPost, at.String(), http.NoBody) // is never sent: its head is what requests have in common
	if e.err = errors.Join(e.err, err); e.err != nil {
		return e
	}
	post.Header = header.Clone()
	post.Host = strings.Replace(post.Host, at.Hostname(), e.server.name, 1) // net/http writes some foreign names in another way
	write := post.Write
	var head, tunnel strings.Builder
	e.route = at.Scheme + "://" + e.server.address
	if p := e.proxy; p != nil {
		switch {
		case p.socks():
		case e.server.secure():
			to := e.server.address
			connect := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: http.Header{"User-Agent": header["User-Agent"]}}
			p.authorize(connect.Header)
			e.err = connect.Write(&tunnel)
		default:
			e.route = "" // the proxy takes calls to all servers
			p.authorize(post.Header)
			write = post.WriteProxy
		}
		e.route += " " + p.url.String()
	}
	e.err = errors.Join(e.err, write(&head))
	e.tunnel = tunnel.String()
	const length = "\r\nContent-Length: "
	e.start, e.end, _ = strings.Cut(head.String(), length+"0")
	e.start += length
	return e
}

// host is what a connection is made to.
type host struct {
	url     *url.URL
	name    string // as DNS and certificates have it
	address string // with its port
}

var ports = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func hostOf(u *url.URL) (*host, error) {
	name, port := u.Hostname(), u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	if ports[u.Scheme] == "" {
		return nil, errors.New("the scheme is none of http, https, socks5, socks5h")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		var err error
		if name, err = idna.Lookup.ToASCII(name); err != nil {
			return nil, fmt.Errorf("name of the host: %w", err)
		}
	}
	if name == "" { // also one of characters that mean nothing: it would be this machine
		return nil, errors.New("the name of the host is empty")
	}
	return &host{u, name, net.JoinHostPort(name, port)}, nil
}

func (h *host) secure() bool { return h.url.Scheme == "https" }

func (h *host) socks() bool { return strings.HasPrefix(h.url.Scheme, "socks5") }

// authorize has the header name a proxy's user and password, if it has them.
func (h *host) authorize(header http.Header) {
	if user := h.url.User; user != nil {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
}

// proxyOf returns the proxy to the URL, nil if there is none.
func proxyOf(at *url.URL, proxyFor func(*http.Request) (*url.URL, error)) (*host, error) {
	u, err := proxyFor(&http.Request{URL: at})
	if u == nil || err != nil {
		return nil, err
	}
	p, err := hostOf(u)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return p, nil
}

// Request returns the bytes that [Client.Post] sends.
func (e *Endpoint) Request(body []byte) []byte {
	const length = len("65536")
	r := make([]byte, 0, len(e.start)+length+len(e.end)+len(body))
	r = strconv.AppendInt(append(r, e.start...), int64(len(body)), 10)
	return append(append(r, e.end...), body...)
}
