package httpserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/relogin/relogin/test/servers"
)

func newTestMonitor() *http.Server {
	ready := func(context.Context) []Readiness { return []Readiness{{Name: "nats"}} }
	return Monitor(ready, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

// TestSlowClients has more clients than there may be connections, none of which ends its
// request: whoever asks properly is answered meanwhile.
func TestSlowClients(t *testing.T) {
	const clients = 4 * maxMonitorConns
	ctx, stop := context.WithCancel(t.Context())
	listener, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, newTestMonitor()) }()
	addr := listener.Addr().String()
	var slow []net.Conn
	for range clients {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /livez HTTP/1.1\r\nHost: x\r\nX: ")
		slow = append(slow, c)
	}
	start := time.Now()
	if err := AskReady(t.Context(), addr, io.Discard); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > readTimeout/2 {
		t.Errorf("the answer took %v", took)
	}
	servers.Eventually(t, "no more to be open than may be", func() bool {
		slow = slices.DeleteFunc(slow, func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			cut := err != nil && !isTimeout(err)
			if cut {
				c.Close()
			}
			return cut
		})
		return len(slow) <= maxMonitorConns
	})
	for _, c := range slow {
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// pipes is a listener whose connections are on the test's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// onPipes runs the test on a false clock beside the server.
func onPipes(t *testing.T, server *http.Server, test func(t *testing.T, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := newPipes()
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, p, server) }()
		test(t, p)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestMonitorCutsOff has clients that are slow in every way: each is cut off in its time.
func TestMonitorCutsOff(t *testing.T) {
	onPipes(t, newTestMonitor(), func(t *testing.T, p *pipes) {
		for name, sends := range map[string]string{
			"nothing":      "",
			"half a head":  "GET /livez HTTP/1.1\r\nHost",
			"half a body":  "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
			"no end of it": "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			c := p.dial()
			fmt.Fprint(c, sends)
			time.Sleep(readTimeout + writeTimeout + time.Second) // it reads nothing meanwhile
			synctest.Wait()
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.Copy(io.Discard, c); isTimeout(err) {
				t.Errorf("%s: not cut off", name)
			}
		}
		idle := p.dial()
		answered(t, idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusOK)
		time.Sleep(monitorIdleTimeout + time.Second)
		synctest.Wait()
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("an idle connection: %v", err)
		}
		long := p.dial()
		answered(t, long, "GET /livez HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 4*maxMonitorHead)+"\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge)
		long.Close()
	})
}

// TestCallsStayOpen: what a simulated gateway serves has no end but the caller's.
func TestCallsStayOpen(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(10 * time.Minute)
		fmt.Fprint(w, "confirmed")
	})
	onPipes(t, &http.Server{Handler: slow}, func(t *testing.T, p *pipes) {
		c := p.dial()
		defer c.Close()
		answered(t, c, "POST /secondLogin HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", http.StatusOK)
	})
}

// answered sends the request, and wants a reply of that status.
func answered(t *testing.T, c net.Conn, request string, status int) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, request) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != status {
		t.Errorf("HTTP %d, want %d", resp.StatusCode, status)
	}
}
