package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzTenantsFile: whatever the file is, its credentials are used as they stand there or
// not at all, and no error shows one.
func FuzzTenantsFile(f *testing.F) {
	const canary = "Bearer c4n4ry/+="
	f.Add("acme:\n  url: https://acme.example/api/\n  authorization: ", "\n")
	f.Add("a: {authorization: '", "', url: 'ftp://x'}\nb: {}\n")
	f.Add("a: {url: 'http://u:", "@host'}")
	f.Add("a:\n  autorization: &x \"", "\"\nb: *x\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, before, after string) {
		file := filepath.Join(dir, "tenants.yaml")
		if err := os.WriteFile(file, []byte(before+canary+after), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{URL: "http://127.0.0.1:18081", Authorization: "base", TenantsFile: file}
		s, err := readSettings(o)
		if err != nil {
			entries := map[string]tenantEntry{}
			_ = readTenantsFile(file, entries)
			if strings.Contains(err.Error(), "c4n4ry") && !namesIt(entries, "c4n4ry") {
				t.Errorf("the error shows the credential: %v", err)
			}
			return
		}
		if s.tenants[defaultTenant] == nil || len(s.addresses) == 0 || !slices.IsSorted(s.addresses) {
			t.Fatalf("tenants %q at %q", slices.Sorted(maps.Keys(s.tenants)), s.addresses)
		}
		for name, one := range s.tenants {
			checkTenant(t, one)
			if one.name != name || !slices.Contains(s.addresses, one.url) {
				t.Errorf("the tenant %q is named %q, at %q", name, one.name, one.url)
			}
		}
		again, err := readSettings(o)
		if err != nil || len(again.inherit(s)) > 0 {
			t.Errorf("read again it is another: %v", err)
		}
	})
}

// namesIt tells whether the text is a tenant's name or a file's, which errors may show.
func namesIt(entries map[string]tenantEntry, text string) bool {
	for name, e := range entries {
		if strings.Contains(name, text) || strings.Contains(e.AuthorizationFile, text) {
			return true
		}
	}
	return false
}

// checkTenant sees that a request can be made of it, which takes its credential to its
// host alone.
func checkTenant(t *testing.T, one *tenant) {
	t.Helper()
	u, err := url.Parse(one.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("the address %q, %v", one.url, err)
	}
	if _, err := http.NewRequest(http.MethodPost, one.url+"/secondLogin", http.NoBody); err != nil {
		t.Error(err)
	}
	if !strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) { // net/http spells foreign names in another way
		checkRequest(t, one)
	}
	if strings.ContainsAny(one.authorization, "\r\n\x00") {
		t.Errorf("a credential of %d bytes with line breaks", len(one.authorization))
	}
}
