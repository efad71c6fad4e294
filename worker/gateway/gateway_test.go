package gateway

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/gateway/gatewaytest"
	"github.com/relogin/relogin/worker/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "S3CRET+credential=="

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newGateway(t *testing.T, o gatewaytest.Options) *gatewaytest.Server {
	s := gatewaytest.NewServer(o)
	t.Cleanup(s.Close)
	return s
}

func testJob(wcID string) *job.Job { return &job.Job{WcID: wcID, Type: 2, Tenant: "default"} }

func always() error { return nil }

// classes are the errors that tell the worker what to do; a call's error is exactly one.
var classes = []error{worker.ErrNotStarted, worker.ErrRefused, worker.ErrUnknownTenant, ErrAmbiguous}

func checkClass(t *testing.T, err, want error) {
	t.Helper()
	for _, class := range classes {
		if errors.Is(err, class) != (class == want) {
			t.Errorf("error %v: is %q: %v", err, class, errors.Is(err, class))
		}
	}
	if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "FAKE-")) {
		t.Errorf("a secret is in %q", err)
	}
}
