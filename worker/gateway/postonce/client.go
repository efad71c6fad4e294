// Package postonce makes POST requests over HTTP/1.1 that are not to be repeated. Its one
// promise: a POST goes out at most once, and the caller knows whether a byte of it did.
//
// # How a call goes
//
// A call's own goroutine alone dials, writes the request at once, waits without a buffer,
// and reads the reply; net/http only parses what it read. So thousands of calls may wait
// for minutes. Redirects are not followed, and replies are not decompressed.
//
// # Connections
//
// A connection is kept for a few seconds when its reply was read to the end and nothing
// came behind it. Before it is used again it is looked at: one that was closed, or on which
// something came, would leave a doubt. One that fails before it takes a byte of the request
// gives way to another. Where the system can't tell without blocking (all but Unix) no
// connection is kept. After a minute to a minute and a half a connection takes no other
// call, so that changes in DNS count. On Linux a connection whose peer acknowledges
// nothing, be it a request or a keep-alive probe, ends after 150 seconds; one whose peer
// just says nothing does not.
//
// # Proxies
//
// A proxy is an http, https, socks5 or socks5h URL, which may have a user and a password.
// An https endpoint is reached through an HTTP proxy by CONNECT. Whatever fails before the
// request itself is sent, such as that, leaves no doubt.
package postonce

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// Client makes calls. It is safe for concurrent use; its fields are set before the first call.
type Client struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config // without a server's name

	pool pool
}

// NewClient returns a client that keeps so many idle connections to each endpoint at the
// most; zero is net/http's default. The caller calls [Client.Close].
func NewClient(maxIdle int) *Client {
	if maxIdle == 0 {
		maxIdle = http.DefaultMaxIdleConnsPerHost
	}
	return &Client{
		Dial: (&net.Dialer{Timeout: dialTimeout, Control: setUserTimeout}).DialContext,
		TLS:  &tls.Config{NextProtos: []string{"http/1.1"}},
		pool: pool{maxIdle: maxIdle, idle: map[string][]*conn{}},
	}
}

// Close closes the connections that no call uses. Calls under way go on until their
// context ends, and calls made later still work; their connections are not kept.
func (c *Client) Close() { c.pool.close() }

// Call is one POST.
type Call struct {
	Endpoint   *Endpoint
	Body       []byte
	BeforeSend func() error // is called right before the first byte is written; its error forbids that
}

// Post makes the call and returns the reply, of whatever status; the caller closes its
// body. started tells whether some of the request may have got out. An error of BeforeSend
// is returned as it is. BeforeSend is called again when a connection took no byte and
// another one takes its place. Only ctx bounds the time that the reply takes.
func (c *Client) Post(ctx context.Context, one *Call) (resp *http.Response, started bool, err error) {
	// The stack is small while the goroutine waits: what is done before and after is in
	// functions that have returned by then, or are called later.
	used, started, err := c.send(ctx, one)
	if err != nil {
		return nil, started, err
	}
	if err = used.wait(); err == nil {
		resp, err = used.readReply()
	}
	if err != nil {
		used.end(false)
	}
	return resp, true, err
}

// send returns the connection that took the request.
func (c *Client) send(ctx context.Context, one *Call) (used *conn, started bool, err error) {
	request := one.Endpoint.Request(one.Body)
	for {
		used, err := c.get(ctx, one.Endpoint)
		if err != nil {
			return nil, false, err
		}
		used.begin(ctx)
		if err := one.BeforeSend(); err != nil {
			used.end(true)
			return nil, false, err
		}
		started, err := used.write(request)
		if err == nil {
			return used, true, nil
		}
		used.end(false)
		if started || used.kept.IsZero() {
			return nil, started, err
		}
	}
}

// get returns a connection to the endpoint: a kept one, if it is open as far as can be
// known. The caller puts it back or closes it.
func (c *Client) get(ctx context.Context, e *Endpoint) (*conn, error) {
	for {
		kept := c.pool.take(e.route)
		if kept == nil {
			return c.dial(ctx, e)
		}
		if kept.usable() {
			return kept, nil
		}
		kept.close()
	}
}
