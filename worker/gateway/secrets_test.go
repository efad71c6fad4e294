package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/relogin/relogin/worker/gateway/gatewaytest"
)

func TestErrorsShowNoSecrets(t *testing.T) {
	bodies := []string{
		`you sent ` + secret, `login ok token=FAKE-TOKEN`, `Authorization: ` + secret + ` is wrong`,
		`{"code":"1000","data":{"token":"FAKE-TOKEN","wId":`,
		`cb({"data":{"token":"FAKE-TOKEN"}})`, "\ufeff[\"FAKE-TOKEN\"]", `"FAKE-TOKEN"`,
		`{"code":"1000","message":"FAKE-MESSAGE"}`,
	}
	for _, status := range []int{200, 302, 404, 500, 502} {
		for _, body := range bodies {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "x/"+secret)
				w.Header().Set("Location", "http://elsewhere.invalid/?"+secret)
				w.WriteHeader(status)
				fmt.Fprint(w, body)
			}))
			var log bytes.Buffer
			c := newClient(t, Options{URL: s.URL, Authorization: secret, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := c.SecondLogin(t.Context(), testJob("a"), always)
			checkClass(t, err, ErrAmbiguous)
			_, err = c.Online(t.Context(), "default", "a", time.Time{})
			if shown := fmt.Sprint(err, log.String()); strings.Contains(shown, secret) || strings.Contains(shown, "FAKE-") {
				t.Errorf("a secret is in %q", shown)
			}
			s.Close()
		}
	}
	o := Options{URL: "http://127.0.0.1", Authorization: secret}
	c := newClient(t, o)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "options", o, "client", c)
	if shown := fmt.Sprintf("%v %+v %#v %v %+v %#v %s", o, o, o, c, c, c, &log); strings.Contains(shown, secret) {
		t.Errorf("a secret is in %q", shown)
	}
}

func TestAmbiguousTextSaysWhatWasSeen(t *testing.T) {
	gw := newGateway(t, gatewaytest.Options{})
	c := newClient(t, Options{URL: gw.URL})
	_, err := c.SecondLogin(t.Context(), testJob("garbage-1"), always)
	for _, part := range []string{"HTTP 200", "text/html", " bytes"} {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}

// TestRepeatedCredential has gateways that tell their callers what they were sent.
func TestRepeatedCredential(t *testing.T) {
	for _, reply := range []string{
		`{"code":"1001","message":"you sent Bearer of-the-gateway"}`, `{"code":"1001","msg":"of-the-gateway is wrong"}`,
		`{"code":"of-the-gateway","message":"no"}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, reply) }))
		c := newClient(t, Options{URL: s.URL, Authorization: "Bearer of-the-gateway"})
		got, err := c.SecondLogin(t.Context(), testJob("a"), always)
		if shown := fmt.Sprint(got, err); err != nil || strings.Contains(shown, "of-the-gateway") || !strings.Contains(shown, "[redacted]") {
			t.Errorf("%s: %s", reply, shown)
		}
		s.Close()
	}
}

// TestCutCredential has a message that is cut within the credential which it repeats.
func TestCutCredential(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"code":"1001","message":"%s%s"}`, strings.Repeat("x", maxMessageBytes-10), secret)
	}))
	defer s.Close()
	got, err := newClient(t, Options{URL: s.URL, Authorization: secret}).SecondLogin(t.Context(), testJob("a"), always)
	if err != nil || strings.Contains(got.Message, secret[:5]) || len(got.Message) > maxMessageBytes {
		t.Errorf("got %d bytes that end in %q, %v", len(got.Message), got.Message[len(got.Message)-20:], err)
	}
}
