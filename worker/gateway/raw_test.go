package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

const (
	declined = `{"code":1001}`
	plain    = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + declined
)

type peer = servers.Peer

// serveRaw runs serve for each connection, and closes it then.
func serveRaw(t testing.TB, serve func(*peer)) (url string) {
	return servers.ServePeers(t, "127.0.0.1:0", nil, serve)
}

// eachKind runs the test over TCP and over TLS.
func eachKind(t *testing.T, test func(t *testing.T, start func(serve func(*peer)) *Client)) {
	t.Run("TCP", func(t *testing.T) {
		test(t, func(serve func(*peer)) *Client { return newClient(t, Options{URL: serveRaw(t, serve)}) })
	})
	t.Run("TLS", func(t *testing.T) {
		s := httptest.NewUnstartedServer(nil) // has a certificate
		s.StartTLS()
		defer s.Close()
		test(t, func(serve func(*peer)) *Client {
			c := newClient(t, Options{URL: servers.ServePeers(t, "127.0.0.1:0", s.TLS, serve)})
			trust(c, s)
			return c
		})
	})
}

// mustCall makes a call that must be answered.
func mustCall(t *testing.T, c *Client) {
	t.Helper()
	if reply, err := c.SecondLogin(t.Context(), testJob("a"), always); err != nil || reply.Outcome != job.Failed {
		t.Fatalf("got %+v, %v", reply, err)
	}
}

// expect makes a call that must end in an error of that class, in which the causes are,
// with beforeSend called so many times.
func expect(ctx context.Context, t *testing.T, c *Client, class error, asked int, beforeSend func() error, causes ...error) {
	t.Helper()
	n := 0
	_, err := c.SecondLogin(ctx, testJob("a"), func() error { n++; return beforeSend() })
	checkClass(t, err, class)
	if n != asked {
		t.Errorf("beforeSend was called %d times, want %d", n, asked)
	}
	for _, cause := range causes {
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want %q in it", err, cause)
		}
	}
}

var errStop = errors.New("the worker stops")

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }
