package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relogin/relogin/test/servers"
)

// password is the one of a Redis user.
func password(user string) string { return "secret-of-" + user }

func hash(user string) string {
	sum := sha256.Sum256([]byte(password(user)))
	return hex.EncodeToString(sum[:])
}

// redisSet is a master, two replicas and three sentinels of deploy/redis.
type redisSet struct {
	t         *testing.T
	ca        *authority
	nodes     []*redisNode // the first one is the master, as long as nobody fails over
	sentinels []*redisNode
}

// redisNode is a server or a sentinel: a process.
type redisNode struct {
	t    *testing.T
	ca   *authority
	addr string
	dir  string
	*servers.Process
}

// startRedis starts the servers. await blocks until they are in step.
func startRedis(t *testing.T, ca *authority) *redisSet {
	t.Helper()
	servers.NeedRedisServer(t)
	s := &redisSet{t: t, ca: ca}
	s.nodes = append(s.nodes, s.newNode("redis.conf", ""))
	_, port, _ := net.SplitHostPort(s.nodes[0].addr)
	for range 2 {
		s.nodes = append(s.nodes, s.newNode("replica.conf", port))
	}
	for _, node := range s.nodes {
		node.start()
	}
	return s
}

// await blocks until the replicas follow the master, and then starts the sentinels and
// blocks until they agree.
func (s *redisSet) await() {
	s.t.Helper()
	servers.Eventually(s.t, "two replicas", func() bool {
		return strings.Count(s.nodes[0].ask("INFO", "replication"), "state=online") == 2
	})
	_, port, _ := net.SplitHostPort(s.nodes[0].addr)
	for range 3 {
		sentinel := s.newSentinel(port)
		sentinel.start()
		s.sentinels = append(s.sentinels, sentinel)
	}
	for _, sentinel := range s.sentinels {
		servers.Eventually(s.t, "sentinels that know each other and the replicas", func() bool {
			info := sentinel.ask("INFO", "sentinel")
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=2,sentinels=3")
		})
	}
}

// newNode copies the files of a server: redis.conf, or replica.conf too, with the
// master's port.
func (s *redisSet) newNode(name, master string) *redisNode {
	t, dir, cert := s.t, s.t.TempDir(), s.ca.server()
	t.Helper()
	n := &redisNode{t: t, ca: s.ca, dir: dir, addr: servers.FreeAddr(t)}
	_, port, _ := net.SplitHostPort(n.addr)
	config := copyFile(t, "redis/redis.conf", dir,
		"bind * -::*", "bind 127.0.0.1", "tls-port 6379", "tls-port "+port,
		"/etc/redis/tls/server.pem", cert.cert, "/etc/redis/tls/server-key.pem", cert.key, "/etc/redis/tls/ca.pem", s.ca.file,
		"aclfile /etc/redis", "aclfile "+dir, "CHANGE_ME_REPLICA_PASSWORD", password("replica"), "/var/lib/redis", dir)
	copyFile(t, "redis/users.acl", dir,
		"CHANGE_ME_SHA256_OF_RELOGIN_PASSWORD", hash("relogin"), "CHANGE_ME_SHA256_OF_REPLICA_PASSWORD", hash("replica"),
		"CHANGE_ME_SHA256_OF_SENTINEL_PASSWORD", hash("sentinel"), "CHANGE_ME_SHA256_OF_OPERATOR_PASSWORD", hash("operator"))
	if master != "" {
		config = copyFile(t, "redis/replica.conf", dir, "include /etc/redis", "include "+dir, "redis-1 6379", "127.0.0.1 "+master)
	}
	n.Process = &servers.Process{TB: t, Name: name, Args: []string{"redis-server", config, "--replica-announce-ip", "127.0.0.1"}, Dir: dir}
	return n
}

func (s *redisSet) newSentinel(master string) *redisNode {
	t, dir, cert := s.t, s.t.TempDir(), s.ca.server()
	t.Helper()
	n := &redisNode{t: t, ca: s.ca, dir: dir, addr: servers.FreeAddr(t)}
	_, port, _ := net.SplitHostPort(n.addr)
	config := copyFile(t, "redis/sentinel.conf", dir,
		"bind * -::*", "bind 127.0.0.1", "tls-port 26379", "tls-port "+port,
		"/etc/redis/tls/server.pem", cert.cert, "/etc/redis/tls/server-key.pem", cert.key, "/etc/redis/tls/ca.pem", s.ca.file,
		"/var/lib/redis-sentinel", dir, "redis-1 6379", "127.0.0.1 "+master,
		"CHANGE_ME_SENTINEL_PASSWORD", password("sentinel"), "CHANGE_ME_SHA256_OF_RELOGIN_PASSWORD", hash("relogin"),
		"CHANGE_ME_SHA256_OF_SENTINEL_PASSWORD", hash("sentinel"), "CHANGE_ME_SHA256_OF_OPERATOR_PASSWORD", hash("operator"))
	n.Process = &servers.Process{TB: t, Name: "sentinel", Args: []string{"redis-server", config, "--sentinel", "--sentinel", "announce-ip", "127.0.0.1"}, Dir: dir}
	return n
}

// start runs the process, until it is killed or the test ends, and blocks until it answers.
func (n *redisNode) start() {
	n.t.Helper()
	n.Start()
	client := n.client("operator")
	defer client.Close()
	servers.Eventually(n.t, n.Name+" to answer", func() bool { return client.Ping(context.Background()).Err() == nil })
}

// client signs in as the user.
func (n *redisNode) client(user string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: n.addr, Username: user, Password: password(user), TLSConfig: n.ca.trust(),
		Protocol: 2, DisableIdentity: true, MaxRetries: -1,
	})
}

// ask sends a command as the operator and returns the reply as text.
func (n *redisNode) ask(command ...any) string {
	n.t.Helper()
	client := n.client("operator")
	defer client.Close()
	reply, err := client.Do(context.Background(), command...).Result()
	if err != nil {
		n.t.Fatalf("%v: %v", command, err)
	}
	return fmt.Sprint(reply)
}

// env returns what tells relogin to ask the sentinels for the master.
func (s *redisSet) env() []string {
	url := fmt.Sprintf("rediss://relogin:%[1]s@%[2]s?sentinel_username=relogin&sentinel_password=%[1]s", password("relogin"), s.sentinels[0].addr)
	for _, sentinel := range s.sentinels[1:] {
		url += ",rediss://" + sentinel.addr
	}
	return []string{"RELOGIN_REDIS_URL=" + url, "RELOGIN_REDIS_SENTINEL_MASTER=relogin", "SSL_CERT_FILE=" + s.ca.file}
}
