package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/relogin/relogin/worker"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTenants(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "acme.token"), "acme-secret\r\n")
	file := write(t, filepath.Join(dir, "tenants.yaml"), `
# comment
acme: {url: "https://acme.example/api/", authorizationFile: acme.token}
beta: {authorization: 12345}
open: {}
`)
	c := newClient(t, Options{URL: "http://127.0.0.1:18081", Authorization: "base", TenantsFile: file})
	want := map[string][2]string{
		"default": {"http://127.0.0.1:18081", "base"},
		"acme":    {"https://acme.example/api", "acme-secret"},
		"beta":    {"http://127.0.0.1:18081", "12345"},
		"open":    {"http://127.0.0.1:18081", ""},
	}
	seen := map[string]bool{}
	for name, w := range want {
		got, err := c.tenant(name)
		if err != nil || got.url != w[0] || got.authorization != w[1] {
			t.Errorf("%s: %v, url %q", name, err, got.url)
			continue
		}
		a, err := c.Access(name)
		if err != nil || a.Address != w[0] || a.Fingerprint == "" || seen[a.Fingerprint] || strings.Contains(a.Fingerprint, w[1]) && w[1] != "" {
			t.Errorf("%s: access %+v, %v", name, a, err)
		}
		seen[a.Fingerprint] = true
	}
	if _, err := c.Access("nobody"); !errors.Is(err, worker.ErrUnknownTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
	if got := c.Addresses(); !slices.Equal(got, []string{"http://127.0.0.1:18081", "https://acme.example/api"}) {
		t.Errorf("addresses %q", got)
	}
}

func TestTenantsFileReplacesDefault(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "tenants.yaml"), "default: {url: 'http://b'}")
	c := newClient(t, Options{URL: "http://a", Authorization: "base", TenantsFile: file})
	if got, _ := c.tenant("default"); got.url != "http://b" || got.authorization != "" {
		t.Errorf("url %q, a credential of %d bytes", got.url, len(got.authorization))
	}
}

func TestTenantsFileOfComments(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "tenants.yaml"), "# none yet\n")
	c := newClient(t, Options{URL: "http://a", TenantsFile: file})
	if _, err := c.tenant("default"); err != nil {
		t.Error(err)
	}
}

func TestFingerprint(t *testing.T) {
	fingerprint := func(o Options) string {
		a, err := newClient(t, o).Access("default")
		if err != nil {
			t.Fatal(err)
		}
		return a.Fingerprint
	}
	one := fingerprint(Options{URL: "http://a", Authorization: "x"})
	if one != fingerprint(Options{URL: "http://a/", Authorization: "x"}) {
		t.Error("the same settings differ")
	}
	if one == fingerprint(Options{URL: "http://a", Authorization: "y"}) || one == fingerprint(Options{URL: "http://b", Authorization: "x"}) {
		t.Error("other settings are the same")
	}
}

func TestSettingsErrors(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, filepath.Join(dir, "empty"), "\n")
	file := write(t, filepath.Join(dir, "tenants.yaml"), `
user: {url: "http://me:`+secret+`@host"}
scheme: {url: "ftp://host"}
invalid: {url: "http://`+secret+` %zz"}
query: {url: "http://host/?key=`+secret+`"}
both: {authorization: "`+secret+`", authorizationFile: x}
lines: {authorization: "`+secret+`\nX-Other: 1"}
missing: {authorizationFile: /nowhere/token}
empty: {authorizationFile: `+empty+`}
`)
	_, err := New(Options{TenantsFile: file, Reconcile: "maybe"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		`tenant "default": url: is missing`, `tenant "user": url: has a user`, `tenant "scheme": url: does not start with http`,
		`tenant "invalid": url: is not a valid`, `tenant "query": url: has a query`, `tenant "both": authorization and authorizationFile`,
		`tenant "lines": authorization: has a line break`, `tenant "missing": authorizationFile: open /nowhere/token`,
		`tenant "empty": authorizationFile: ` + empty + ` is empty`, `reconcile: "maybe"`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("a secret is in:\n%v", err)
	}
}

func TestTenantsFileErrors(t *testing.T) {
	tests := map[string]string{
		"a:\n  autorization: " + secret:                `line 2: unknown key: want url, authorization`,
		"a: {authorization: *" + secret + "}":          "line 1: could not find alias",
		"a: {authorization: [" + secret + "]}":         "line 1: cannot unmarshal",
		"a:\n  authorization: \"" + secret + "\n b: c": "could not find end",
		"a:\n  authorization: " + secret + ": x":       "line 2: mapping value is not allowed",
		"a: {url: 'http://x'}\na: {url: 'http://x'}":   `line 2: a key that is there already`,
		"- " + secret: "line 1: sequence was used",
		" \n":         "is empty",
		secret:        "line 1: string was used",
		"\"" + secret + "\": {authorization: {" + secret + ": 1}}": "line 1: cannot unmarshal",
	}
	for text, want := range tests {
		file := write(t, filepath.Join(t.TempDir(), "tenants.yaml"), text)
		_, err := New(Options{URL: "http://a", TenantsFile: file})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want %s in it and no secret", text, err, want)
		}
	}
	if _, err := New(Options{URL: "http://a", TenantsFile: "/nowhere/tenants.yaml"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}
