package deploy

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/test/servers"
)

// identity is a key of an operator, an account or a user.
type identity struct {
	nkeys.KeyPair
	public string
}

func newIdentity(t *testing.T, create func() (nkeys.KeyPair, error)) identity {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return identity{key, public}
}

// sign returns the claims as the signer's JWT.
func (i identity) sign(t *testing.T, claims jwt.Claims) string {
	t.Helper()
	token, err := claims.Encode(i.KeyPair)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// creds writes the file of a user of the account: that of nsc, for --nats-creds.
func (i identity) creds(t *testing.T, expires time.Time) string {
	t.Helper()
	user := newIdentity(t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(user.public)
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(i.sign(t, claims), seed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where the users are an operator's JWTs, --nats-creds is all that is needed.
func TestCreds(t *testing.T) {
	servers.SkipIfShort(t, "it starts servers, and builds relogin")
	t.Parallel()
	operator, account, system := newIdentity(t, nkeys.CreateOperator), newIdentity(t, nkeys.CreateAccount), newIdentity(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(account.public)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: 6, Consumer: -1}
	resolver := &server.MemAccResolver{}
	for public, token := range map[string]string{
		account.public: operator.sign(t, claims), system.public: operator.sign(t, jwt.NewAccountClaims(system.public)),
	} {
		if err := resolver.Store(public, token); err != nil {
			t.Fatal(err)
		}
	}
	trusted, err := jwt.DecodeOperatorClaims(operator.sign(t, jwt.NewOperatorClaims(operator.public)))
	if err != nil {
		t.Fatal(err)
	}
	url := servers.StartNATS(t, func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{trusted}, resolver, system.public
	}).URL()
	env := []string{"RELOGIN_NATS_URL=" + url, "RELOGIN_NATS_CREDS=" + account.creds(t, time.Time{})}
	mustRun(t, env, "setup")
	mustRun(t, env, "submit", "a")

	stranger := newIdentity(t, nkeys.CreateAccount)
	for name, test := range map[string]struct {
		creds  string
		status int
		says   string
	}{
		"expired":            {account.creds(t, time.Now().Add(-time.Minute)), 1, "Authorization Violation"},
		"of another account": {stranger.creds(t, time.Time{}), 1, "Authorization Violation"},
		"none":               {"", 1, "Authorization Violation"},
		"missing":            {filepath.Join(t.TempDir(), "missing.creds"), 2, "no such file"},
	} {
		status, _, stderr := run(t, []string{"RELOGIN_NATS_URL=" + url, "RELOGIN_NATS_CREDS=" + test.creds}, "setup")
		if status != test.status || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit status %d: %s", name, status, stderr)
		}
	}
}

// A server whose certificate has expired, or is another's, is not talked to.
func TestServerCertificate(t *testing.T) {
	servers.SkipIfShort(t, "it starts servers, and builds relogin")
	t.Parallel()
	ca := newAuthority(t)
	for name, test := range map[string]struct {
		cert pair
		says string
	}{
		"expired":          {ca.issue("server", time.Now().Add(-time.Minute), serverUsage), "expired"},
		"not for a server": {ca.client(time.Now().Add(time.Hour)), "usage"},
	} {
		url := servers.StartNATS(t, func(o *server.Options) {
			o.TLSConfig, o.TLS = &tls.Config{Certificates: []tls.Certificate{test.cert.load(t)}, MinVersion: tls.VersionTLS12}, true
		}).URL()
		status, _, stderr := run(t, []string{"RELOGIN_NATS_URL=" + url, "RELOGIN_NATS_CA=" + ca.file}, "setup")
		if status != 1 || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit status %d: %s", name, status, stderr)
		}
	}
}
