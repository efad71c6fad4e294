//go:build linux

package hostile

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

// front is the address of a gateway. The phones behind all of them are the same ones.
type front struct {
	url     string
	server  *httptest.Server
	gateway *gatewaytest.Gateway

	mu    sync.Mutex
	rules []*rule
}

// rule answers a request in place of the gateway, or returns false. wcID is empty for the
// online list.
type rule struct {
	answer func(w http.ResponseWriter, r *http.Request, wcID string) bool
}

func newFront(t testing.TB, gateway *gatewaytest.Gateway) *front {
	f := &front{gateway: gateway}
	f.server = httptest.NewServer(f)
	f.url = f.server.URL
	t.Cleanup(func() { f.server.CloseClientConnections(); f.server.Close() })
	return f
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	var ask struct {
		WcID string `json:"wcId"`
	}
	_ = json.Unmarshal(body, &ask) // the gateway says what is wrong
	f.mu.Lock()
	rules := slices.Clone(f.rules)
	f.mu.Unlock()
	for _, rule := range rules {
		if rule.answer(w, r, ask.WcID) {
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.gateway.ServeHTTP(w, r)
}

// with adds a rule until it is taken away.
func (f *front) with(answer func(w http.ResponseWriter, r *http.Request, wcID string) bool) (remove func()) {
	added := &rule{answer}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(r *rule) bool { return r == added })
	}
}
