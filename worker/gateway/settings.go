package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/goccy/go-yaml"

	"github.com/relogin/relogin/worker/gateway/postonce"
)

const defaultTenant = "default"

// settings are what one reading of the flags and files gave. They do not change.
type settings struct {
	tenants   map[string]*tenant
	addresses []string // of the tenants, sorted, each once
	files     []string // all that were read
}

// tenant is one address with its credential, and what was learned of it.
type tenant struct {
	name          string
	url           string // without a slash at the end
	setting       string // where the address comes from
	authorization string
	redactor      *strings.Replacer // of what the gateway wrote
	fingerprint   string

	secondLogin, queryLogin *postonce.Endpoint

	online onlineList
	noList atomic.Bool // it answered 404 to the online list
	astray atomic.Bool // it was logged that its address may be wrong
}

// tenantEntry is a tenant as the tenants file has it.
type tenantEntry struct {
	URL               string `yaml:"url"`
	Authorization     string `yaml:"authorization"`
	AuthorizationFile string `yaml:"authorizationFile"`
}

// readSettings returns the tenants of the options and of the files that they name, or
// all that is wrong with them.
func readSettings(o Options) (*settings, error) {
	entries := map[string]tenantEntry{}
	s := &settings{tenants: map[string]*tenant{}}
	var errs []error
	if o.TenantsFile != "" {
		s.files = append(s.files, o.TenantsFile)
		errs = append(errs, readTenantsFile(o.TenantsFile, entries))
	}
	if _, ok := entries[defaultTenant]; !ok {
		entries[defaultTenant] = tenantEntry{URL: o.URL, Authorization: o.Authorization, AuthorizationFile: o.AuthorizationFile}
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		if e.AuthorizationFile != "" {
			s.files = append(s.files, e.AuthorizationFile)
		}
		t, err := newTenant(name, e, o.URL)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.tenants[name] = t
		s.addresses = append(s.addresses, t.url)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.Sort(s.addresses)
	s.addresses = slices.Compact(s.addresses)
	return s, nil
}

// readTenantsFile adds what the file has to entries.
func readTenantsFile(path string, entries map[string]tenantEntry) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("tenants file: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 { // its writer may not be done
		return fmt.Errorf("tenants file %s: is empty; it needs a tenant, or a comment", path)
	}
	var read map[string]tenantEntry
	if err := yaml.UnmarshalWithOptions(data, &read, yaml.Strict()); err != nil {
		return fmt.Errorf("tenants file %s: %s", path, yamlProblem(err))
	}
	for name, e := range read {
		if e.AuthorizationFile != "" && !filepath.IsAbs(e.AuthorizationFile) {
			e.AuthorizationFile = filepath.Join(filepath.Dir(path), e.AuthorizationFile)
		}
		entries[name] = e
	}
	return nil
}

// yamlProblem returns the line and what is wrong there. The library's own text quotes
// the file, and so the credentials.
func yamlProblem(err error) string {
	var y yaml.Error
	if !errors.As(err, &y) {
		return "not valid YAML"
	}
	text, _, _ := strings.Cut(y.GetMessage(), `"`)
	text = strings.TrimSpace(text)
	switch text {
	case "unknown field":
		text = "unknown key: want url, authorization or authorizationFile"
	case "mapping key":
		text = "a key that is there already"
	}
	if t := y.GetToken(); t != nil && t.Position != nil {
		text = fmt.Sprintf("line %d: %s", t.Position.Line, text)
	}
	return text
}

// newTenant checks the entry, and reads the credential's file. An entry without a URL has
// the default one.
func newTenant(name string, e tenantEntry, defaultURL string) (*tenant, error) {
	setting := fmt.Sprintf("the url of tenant %q", name)
	if e.URL == "" || e.URL == defaultURL {
		e.URL, setting = defaultURL, "--gateway-url"
	}
	base, urlErr := checkURL(e.URL)
	authorization, authErr := readAuthorization(e)
	var errs []error
	for _, err := range []error{urlErr, authErr} {
		if err != nil {
			errs = append(errs, fmt.Errorf("tenant %q: %w", name, err))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	endpoint := func(path string) *postonce.Endpoint {
		at, _ := url.Parse(base + path) // base is valid
		return postonce.NewEndpoint(at, proxy, header(authorization))
	}
	sum := sha256.Sum256([]byte(base + "\x00" + authorization))
	return &tenant{
		name: name, url: base, setting: setting, authorization: authorization,
		redactor: newRedactor(authorization), fingerprint: hex.EncodeToString(sum[:16]),
		secondLogin: endpoint("/secondLogin"), queryLogin: endpoint("/queryLoginWx"), online: newOnlineList(),
	}, nil
}

// checkURL returns the address without a slash at the end. Its errors do not repeat it: a
// password may be in it.
func checkURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", errors.New("url: is missing")
	case err != nil:
		return "", errors.New("url: is not a valid URL")
	case u.User != nil:
		return "", errors.New("url: has a user or password, which belong into authorization")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("url: does not start with http:// or https://")
	case u.Hostname() == "":
		return "", errors.New("url: has no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("url: has a query or a fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func readAuthorization(e tenantEntry) (string, error) {
	key, value := "authorization", e.Authorization
	if e.AuthorizationFile != "" {
		key = "authorizationFile"
		if e.Authorization != "" {
			return "", errors.New("authorization and authorizationFile: only one of them may be set")
		}
		data, err := os.ReadFile(e.AuthorizationFile)
		if err != nil {
			return "", fmt.Errorf("authorizationFile: %w", err)
		}
		if value = strings.TrimRight(string(data), "\r\n"); value == "" {
			return "", fmt.Errorf("%s: %s is empty; leave the key out where the gateway wants no credential", key, e.AuthorizationFile)
		}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", fmt.Errorf("%s: has a line break or another control character", key)
	}
	return value, nil
}
