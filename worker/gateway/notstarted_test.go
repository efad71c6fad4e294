package gateway

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestNotStarted(t *testing.T) {
	closed := "http://" + servers.FreeAddr(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx context.Context
		url string
	}{
		"refused":        {t.Context(), closed},
		"no such host":   {t.Context(), "http://gateway.invalid"},
		"foreign host":   {t.Context(), "http://网关.invalid"},
		"no host's name": {t.Context(), "http://网_关.invalid"},
		"ctx ended":      {gone, closed},
		"wrong protocol": {t.Context(), strings.Replace(newGateway(t, gatewaytest.Options{}).URL, "http", "https", 1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Options{URL: tt.url, Authorization: secret})
			_, err := c.SecondLogin(tt.ctx, testJob("a"), func() error { t.Error("beforeSend was called"); return nil })
			checkClass(t, err, worker.ErrNotStarted)
			if errors.Is(err, context.Canceled) != (tt.ctx == gone) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v passes for a context's", err)
			}
		})
	}
	for _, reply := range []string{"407 " + secret, "502 Bad Gateway", "200 OK"} { // behind which no TLS comes
		t.Run("a proxy says "+reply[:3], func(t *testing.T) {
			proxy := serveRaw(t, func(p *peer) { p.Request(); p.Say("HTTP/1.1 " + reply + "\r\n\r\n") })
			c := through(t, newClient(t, Options{URL: "https://gateway.invalid", Authorization: secret}), strings.Replace(proxy, "//", "//me:"+secret+"@", 1))
			expect(t.Context(), t, c, worker.ErrNotStarted, 0, always)
		})
	}
	t.Run("unknown tenant", func(t *testing.T) {
		c := newClient(t, Options{URL: "http://127.0.0.1"})
		_, err := c.SecondLogin(t.Context(), &job.Job{WcID: "a", Tenant: "nobody"}, always)
		checkClass(t, err, worker.ErrUnknownTenant)
	})
}

// TestDialTimeoutIsNotTheCaller pins that a time-out of package net, which passes for
// context.DeadlineExceeded, is not reported as the caller's own.
func TestDialTimeoutIsNotTheCaller(t *testing.T) {
	c := newClient(t, Options{URL: "http://127.0.0.1:1"})
	c.http.Dial = (&net.Dialer{Timeout: time.Nanosecond}).DialContext
	_, err := c.SecondLogin(t.Context(), testJob("a"), always)
	checkClass(t, err, worker.ErrNotStarted)
	if errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
}
