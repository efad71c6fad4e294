package postonce

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	socks "golang.org/x/net/proxy"
)

const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	tunnelTimeout    = time.Minute // the proxy dials, too

	// A connection takes no new call once it is older than maxAge and up to ageJitter more:
	// a change in DNS counts within that time, and connections do not all end at once. A
	// call that is open goes on.
	maxAge    = time.Minute
	ageJitter = time.Minute / 2

	// userTimeout is how long written bytes may stay unacknowledged on Linux, where it would
	// be a quarter of an hour. It also ends the keep-alive probes of a silent connection, so
	// it is as long as these take in Go: 15 s, and 9 probes of 15 s. A server that waits for
	// a person acknowledges both, and a cut of the network that is mended meanwhile costs no
	// reply.
	userTimeout = 150 * time.Second
)

// endOfLife returns when a connection that is made now takes no more calls.
func endOfLife() time.Time { return time.Now().Add(maxAge + rand.N(ageJitter)) }

// dial connects to the endpoint's server, through the proxy if there is one, and shakes
// hands where it wants that.
func (c *Client) dial(ctx context.Context, e *Endpoint) (*conn, error) {
	if e.err != nil {
		return nil, e.err
	}
	first := cmp.Or(e.proxy, e.server)
	tcp, err := c.Dial(ctx, "tcp", first.address)
	made := &conn{stream: tcp, socket: socket{Conn: tcp}, pool: &c.pool, route: e.route, until: endOfLife()}
	if err == nil && first.secure() {
		err = made.handshake(ctx, c.TLS, first.name)
	}
	if err == nil && e.proxy != nil {
		err = made.pass(ctx, e)
	}
	switch {
	case e.proxy == nil:
	case err != nil:
		err = fmt.Errorf("proxy: %w", err)
	case e.server.secure():
		err = made.handshake(ctx, c.TLS, e.server.name)
	}
	if err == nil {
		return made, nil
	}
	if tcp != nil {
		made.close()
	}
	return nil, err
}

// pass has the proxy, to which the connection leads, take requests to the server.
func (c *conn) pass(ctx context.Context, e *Endpoint) error {
	switch {
	case e.proxy.socks():
		return within(ctx, tunnelTimeout, "SOCKS", func(ctx context.Context) error { return c.askSOCKS(ctx, e) })
	case e.tunnel != "":
		return within(ctx, tunnelTimeout, "CONNECT", func(ctx context.Context) error { return c.askHTTP(ctx, e.tunnel) })
	}
	return nil
}

// within does a step before the request. Its error is ctx's when that has ended.
func within(ctx context.Context, limit time.Duration, name string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("timeout"))
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// handshake has TLS on top of what the connection is so far.
func (c *conn) handshake(ctx context.Context, config *tls.Config, name string) error {
	below := c.stream
	if below == c.socket.Conn {
		below = &c.socket
	}
	config = config.Clone()
	config.ServerName = name
	secured := tls.Client(below, config)
	err := within(ctx, handshakeTimeout, "TLS handshake", secured.HandshakeContext)
	if err == nil {
		c.stream = secured
	}
	return err
}

var connected = &http.Request{Method: http.MethodConnect}

// askHTTP asks an HTTP proxy for a tunnel. What the proxy says but its status is not shown.
func (c *conn) askHTTP(ctx context.Context, request string) error {
	c.begin(ctx)
	_, err := io.WriteString(c.stream, request)
	if err == nil {
		err = c.readConsent()
	}
	if !c.stop() && err == nil {
		err = context.Cause(ctx)
	}
	return err
}

func (c *conn) readConsent() error {
	b := c.newBuffer()
	defer buffers.Put(b)
	resp, err := c.readHead(b, connected) //nolint:bodyclose // a reply to CONNECT has none
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	case b.Buffered() > 0: // servers wait to be spoken to
		return errMalformed
	}
	return nil
}

// askSOCKS asks a SOCKS proxy for a tunnel.
func (c *conn) askSOCKS(ctx context.Context, e *Endpoint) error {
	var auth *socks.Auth
	if user := e.proxy.url.User; user != nil {
		auth = &socks.Auth{User: user.Username()}
		auth.Password, _ = user.Password()
	}
	dialer, err := socks.SOCKS5("tcp", e.proxy.address, auth, nil)
	if err != nil {
		return err
	}
	_, err = dialer.(connDialer).DialWithConn(ctx, c.stream, "tcp", e.server.address)
	return err
}

// connDialer is what [socks.SOCKS5] returns: it takes a connection to the proxy.
type connDialer interface {
	DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
}
