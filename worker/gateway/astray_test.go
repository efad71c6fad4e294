package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAstrayReplies has replies that come from something else than a gateway: the error
// asks for the address, and the log does once.
func TestAstrayReplies(t *testing.T) {
	page := "<!DOCTYPE html><html><body>FAKE-TOKEN</body></html>"
	tests := map[string]struct {
		status      int
		media, body string
		hint        string // "" for none
	}{
		"not found":         {404, "text/plain", "404 page not found", "nothing takes a second login there"},
		"not found, long":   {404, "text/html", strings.Repeat(page, 3000), "nothing takes a second login there"},
		"not allowed":       {405, "text/html", page, "nothing takes a second login there"},
		"gone":              {410, "application/json", `{"code":1001}`, "nothing takes a second login there"},
		"moved":             {301, "text/html", page, "it redirects, and redirects are not followed"},
		"see login page":    {302, "", "", "it redirects, and redirects are not followed"},
		"temporarily moved": {307, "", "", "it redirects, and redirects are not followed"},
		"web page":          {200, "text/html; charset=utf-8", page, "it is a web page, of another server, a proxy or a login"},
		"web page as text":  {200, "text/plain", "\ufeff\n " + page, "it is a web page, of another server, a proxy or a login"},
		"long web page":     {200, "text/html", strings.Repeat(page, 3000), "it is a web page, of another server, a proxy or a login"},
		"empty web page":    {200, "text/html", "", "it is a web page, of another server, a proxy or a login"},
		"server error":      {500, "text/html", page, ""},
		"bad gateway":       {502, "text/html", page, ""},
		"bad request":       {400, "application/json", `{"code":1001}`, ""},
		"no JSON":           {200, "text/plain", "oh", ""},
		"no login":          {200, "application/json", `{"code":1000}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.media)
				w.Header().Set("Location", "/FAKE-TOKEN")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer s.Close()
			var log bytes.Buffer
			c := newClient(t, Options{URL: s.URL, Authorization: secret, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 3 {
				_, err := c.SecondLogin(t.Context(), testJob("a"), always)
				checkClass(t, err, ErrAmbiguous)
				want := tt.hint + ": is --gateway-url right?"
				if text := fmt.Sprint(err); !strings.Contains(text, fmt.Sprintf("HTTP %d", tt.status)) || strings.HasSuffix(text, want) != (tt.hint != "") || len(text) > 300 {
					t.Errorf("got %q, want %q at its end", text, want)
				}
			}
			if lines := strings.Count(log.String(), "\n"); lines > 1 || (lines == 1) != (tt.hint != "") {
				t.Errorf("logged: %s", &log)
			}
			if tt.hint != "" && (!strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), s.URL) || strings.Contains(log.String(), "FAKE-")) {
				t.Errorf("logged: %s", &log)
			}
		})
	}
}

// A reply that is understood is one, whatever it says of its type.
func TestReplyOfAnotherType(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, declined)
	}))
	defer s.Close()
	mustCall(t, newClient(t, Options{URL: s.URL}))
}

// TestAstrayAgain: the address is named that a tenant has, and once more after it changed.
func TestAstrayAgain(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	write := func(url string) {
		if err := os.WriteFile(file, []byte("default:\n  url: "+url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(s.URL + "/a")
	var log bytes.Buffer
	c := newClient(t, Options{URL: "http://127.0.0.1:1", TenantsFile: file, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for i, path := range []string{"/a", "/a", "/b", "/b"} {
		write(s.URL + path)
		c.reread(t.Context(), "")
		_, err := c.SecondLogin(t.Context(), testJob("a"), always)
		if !strings.HasSuffix(fmt.Sprint(err), `is the url of tenant "default" right?`) {
			t.Errorf("got %v", err)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != i/2+1 {
			t.Errorf("call %d, to %s: logged %d times: %s", i, path, n, &log)
		}
	}
}
