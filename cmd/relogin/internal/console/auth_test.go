package console

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// With users nobody sees anything who has not logged in.
func TestLogIn(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator), user(t, "bo", Viewer))
	for _, path := range paths("a") {
		if reply, body := w.do(http.MethodGet, path, nil); !strings.HasPrefix(reply.Request.URL.RequestURI(), "/login?back=") || !strings.Contains(body, `type="password"`) {
			t.Errorf("%s: not asked to log in: %s", path, reply.Request.URL)
		}
	}
	for _, wrong := range [][2]string{{"anna", "bo"}, {"anna", ""}, {"nobody", "anna"}, {"", ""}} {
		if status := w.logIn(wrong[0], wrong[1]); status != http.StatusUnauthorized {
			t.Errorf("%q with %q: status %d", wrong[0], wrong[1], status)
		}
	}
	if status := w.logIn("anna", "anna"); status != http.StatusOK {
		t.Fatalf("the right password: status %d", status)
	}
	if body := w.get("/audit"); !strings.Contains(body, "anna <small>operator</small>") {
		t.Errorf("the page does not say who is there:\n%s", body)
	}
	w.do(http.MethodPost, "/logout", url.Values{})
	if reply, _ := w.do(http.MethodGet, "/audit", nil); reply.Request.URL.Path != "/login" {
		t.Error("logged out, and still there")
	}
}

// The session's cookie is no script's, no other site's, and secure where the browser speaks TLS.
func TestSessionCookie(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator))
	w.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, secure := range []bool{false, true} {
		var headers []string
		if secure {
			headers = []string{"X-Forwarded-Proto", "https"}
		}
		reply, _ := w.do(http.MethodPost, "/login", url.Values{"name": {"anna"}, "password": {"anna"}}, headers...)
		if cookies := reply.Cookies(); len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Secure != secure {
			t.Errorf("secure %v: cookies %v", secure, cookies)
		}
	}
}

// A session that another key signed, or that is of an older password, is none.
func TestSessionsOfOthers(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator))
	w.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	reply, _ := w.do(http.MethodPost, "/login", url.Values{"name": {"anna"}, "password": {"anna"}})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(reply.Cookies()[0])
	if u := w.console.userOf(r); u == nil || u.Name != "anna" {
		t.Fatalf("the user is %v", u)
	}
	w.console.Users[0] = user(t, "anna", Operator) // of another salt
	if u := w.console.userOf(r); u != nil {
		t.Error("the session outlives its password")
	}
	w.console.Users[0].Hash = ""
	w.console.cookies = newCookies("another secret of at least 32 bytes")
	if u := w.console.userOf(r); u != nil {
		t.Error("another key's session is taken")
	}
}

// Who guesses passwords is slowed down, and nobody else at another name.
func TestAttemptsAreLimited(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator), user(t, "bo", Viewer))
	refused := false
	for range oneAtOnce + 1 {
		refused = refused || w.logIn("anna", "wrong") == http.StatusTooManyRequests
	}
	if !refused || w.logIn("anna", "anna") != http.StatusTooManyRequests {
		t.Error("guessing goes on")
	}
	if status := w.logIn("bo", "bo"); status != http.StatusOK {
		t.Errorf("another user: status %d", status)
	}
}

// No page of another site changes anything, and no name that a stranger gave to this machine is
// answered where no password protects it.
func TestOtherSites(t *testing.T) {
	w := newWorld(t, user(t, "anna", Operator))
	for _, path := range []string{"/login", "/logout", "/language"} {
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			if reply, _ := w.do(http.MethodPost, path, url.Values{}, headers...); reply.StatusCode != http.StatusForbidden {
				t.Errorf("%s with %v: %s", path, headers, reply.Status)
			}
		}
	}
	w = newWorld(t)
	if reply, _ := w.do(http.MethodGet, "/", nil, "Host", "evil.example:8081"); reply.StatusCode != http.StatusForbidden {
		t.Errorf("by another name: %s", reply.Status)
	}
	if reply, _ := w.do(http.MethodGet, "/audit", nil, "Host", "localhost:8081"); reply.StatusCode != http.StatusOK {
		t.Errorf("as localhost: %s", reply.Status)
	}
}

// Nobody is sent to another site after logging in.
func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/dead?reason=x": "/dead?reason=x", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/\t/evil.example": "/", "evil": "/",
		"javascript:alert(1)": "/",
	} {
		if got := localPath(path); got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
}

func TestReadUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	good := "- name: anna\n  role: operator\n  hash: " + string(hash) + "\n"
	for about, test := range map[string]struct{ text, wrong string }{
		"a user":            {good, ""},
		"nobody":            {"[]", "it names nobody"},
		"no list":           {"anna: x", "want a list"},
		"an unknown key":    {good + "  password: x\n", "want a list"},
		"twice":             {good + good, "twice"},
		"an unknown role":   {strings.Replace(good, "operator", "root", 1), "want viewer or operator"},
		"a password":        {strings.Replace(good, string(hash), "s3cret", 1), "want a bcrypt hash"},
		"a name of nothing": {strings.Replace(good, "anna", `""`, 1), "want a name"},
	} {
		path := filepath.Join(t.TempDir(), "users.yaml")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := ReadUsers(path)
		switch {
		case test.wrong == "":
			if err != nil || len(all) != 1 || all[0].Role != Operator {
				t.Errorf("%s: %v, %v", about, all, err)
			}
		case err == nil || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v", about, err)
		}
	}
}
