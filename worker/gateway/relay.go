package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// proxy is [http.ProxyFromEnvironment] with an error that does not repeat the
// proxy's address: a password may be in it.
func proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, errors.New("HTTP_PROXY, HTTPS_PROXY or NO_PROXY is not valid")
	}
	return u, nil
}

// relay is post by way of net/http, which knows all kinds of proxies and names of hosts.
// It takes several goroutines and buffers for each call. The request gets out only
// through a gate.
func (c *Client) relay(ctx context.Context, one *call) (*http.Response, error) {
	g := newGate(one.beforeSend)
	req, err := http.NewRequestWithContext(g.attach(ctx), http.MethodPost, one.tenant.url+one.path, bytes.NewReader(one.body))
	if err != nil {
		return nil, err
	}
	// net/http asks for the body once more when it is about to repeat the request.
	req.GetBody = func() (io.ReadCloser, error) {
		if err := g.mayRepeat(); err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(one.body)), nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if one.tenant.authorization != "" {
		req.Header.Set("Authorization", one.tenant.authorization)
	}
	resp, err := c.transport.RoundTrip(req) // no http.Client: it follows redirects
	one.started = g.close()
	if err == nil && !one.started {
		resp.Body.Close()
		return nil, fmt.Errorf("it answered HTTP %d before it was asked", resp.StatusCode)
	}
	return resp, err
}

// newTransport returns the transport of relayed calls: HTTP/1.1, no compression, small
// buffers since thousands of connections are open at once, and connections that do not
// idle for long since a request on a dying one is ambiguous.
func newTransport(maxIdle int) *http.Transport {
	dialer := newDialer()
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy: proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &gatedConn{Conn: conn, until: endOfLife()}, nil
		},
		Protocols:              http1,
		DisableCompression:     true,
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxHeadBytes,
		ReadBufferSize:         1 << 10,
		WriteBufferSize:        1 << 10,
	}
}
