package deploy

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/relogin/relogin/test/servers"
)

// natsCluster is three servers of deploy/nats, and its users.
type natsCluster struct {
	t     *testing.T
	ca    *authority
	cert  pair // of clients
	urls  string
	users map[string]natsUser
	route string // address where the first server takes the others
}

// natsUser is who signs in with an nkey.
type natsUser struct {
	public string
	seed   string // file
	inbox  string // prefix
}

// natsUsers are the users of users.conf by their placeholders, with their inbox prefixes.
var natsUsers = map[string]string{
	"UPSTREAM": "_INBOX_upstream", "WAITING_UPSTREAM": "_INBOX_waiting", "WORKER": "_INBOX_worker",
	"CONSUMER": "_INBOX_consumer", "OPERATOR": "_INBOX_operator", "SYSTEM": "_INBOX_system",
}

func startNATS(t *testing.T, ca *authority) *natsCluster {
	t.Helper()
	c := &natsCluster{t: t, ca: ca, cert: ca.client(time.Now().Add(time.Hour)), users: map[string]natsUser{}}
	var keys []string
	for name, inbox := range natsUsers {
		user := newNATSUser(t, inbox)
		c.users[name] = user
		// No placeholder is the beginning of another one's line.
		keys = append(keys, "CHANGE_ME_PUBLIC_NKEY_OF_"+name, user.public)
	}
	var urls []string
	for _, node := range servers.StartNATSCluster(t, func(i int, o *server.Options) {
		c.route = o.Routes[0].Host
		*o = *c.options(i, o.Routes, keys)
	}) {
		urls = append(urls, "tls://"+node.Addr())
	}
	c.urls = strings.Join(urls, ",")
	return c
}

// options returns what the configuration of one of the servers says, when they reach each
// other at the routes.
func (c *natsCluster) options(i int, routes []*url.URL, keys []string) *server.Options {
	c.t.Helper()
	dir, cert := c.t.TempDir(), c.ca.server()
	copyFile(c.t, "nats/users.conf", dir, keys...)
	path := copyFile(c.t, "nats/nats.conf", dir,
		"listen: 0.0.0.0:4222", "listen: 127.0.0.1:-1", "http: 127.0.0.1:8222", "http: 127.0.0.1:-1",
		"/etc/nats/tls/server.pem", cert.cert, "/etc/nats/tls/server-key.pem", cert.key, "/etc/nats/tls/ca.pem", c.ca.file,
		"/var/lib/nats", filepath.Join(dir, "data"), "CHANGE_ME_ROUTE_PASSWORD", "routesecret",
		"listen: 0.0.0.0:6222", "listen: 127.0.0.1:"+routes[i].Port(),
		"nats-1:6222", "127.0.0.1:"+routes[0].Port(), "nats-2:6222", "127.0.0.1:"+routes[1].Port(), "nats-3:6222", "127.0.0.1:"+routes[2].Port())
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	options.ServerName, options.NoSigs, options.NoLog = fmt.Sprintf("nats-%d", i+1), true, true
	return options
}

func newNATSUser(t *testing.T, inbox string) natsUser {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	user := natsUser{public: public, seed: filepath.Join(t.TempDir(), "user.nk"), inbox: inbox}
	if err := os.WriteFile(user.seed, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return user
}

// env returns what tells relogin to connect as the user.
func (c *natsCluster) env(name string) []string {
	user := c.users[name]
	return []string{
		"RELOGIN_NATS_URL=" + c.urls, "RELOGIN_NATS_CA=" + c.ca.file, "RELOGIN_NATS_CERT=" + c.cert.cert,
		"RELOGIN_NATS_KEY=" + c.cert.key, "RELOGIN_NATS_NKEY=" + user.seed, "RELOGIN_NATS_INBOX_PREFIX=" + user.inbox,
	}
}

// connect connects as the user, apart from the product's own code.
func (c *natsCluster) connect(t *testing.T, name string) *nats.Conn {
	t.Helper()
	user := c.users[name]
	key, err := nats.NkeyOptionFromSeed(user.seed)
	if err != nil {
		t.Fatal(err)
	}
	config := c.ca.trust()
	config.Certificates = []tls.Certificate{c.cert.load(t)}
	nc, err := nats.Connect(c.urls, key, nats.Secure(config), nats.CustomInboxPrefix(user.inbox),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // tests ask for LastError
	if err != nil {
		t.Fatalf("connect as %s: %v", name, err)
	}
	t.Cleanup(nc.Close)
	return nc
}
