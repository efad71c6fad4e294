package deploy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// mayNot is what a user of users.conf must be refused, by user.
var mayNot = map[string]struct{ publish, subscribe []string }{
	"UPSTREAM": {
		publish: []string{
			"relogin.events.succeeded.a", "relogin.dead.urgent", "relogin.dead.events", "relogin.account.freed.a", "relogin.jobs.other", "other.jobs.urgent",
			"$JS.API.STREAM.INFO.RELOGIN_EVENTS", "$JS.API.CONSUMER.CREATE.RELOGIN_EVENTS.x.relogin.events.*.*",
			"$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS.urgent", "$JS.API.STREAM.MSG.GET.RELOGIN_JOBS",
			"$JS.API.DIRECT.GET.RELOGIN_JOBS", "$JS.API.DIRECT.GET.RELOGIN_EVENTS", "$JS.API.STREAM.PURGE.RELOGIN_JOBS",
			"relogin.pods.state", "$SRV.PING", "_INBOX_operator.x", "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.ACK.RELOGIN_JOBS.urgent.1.1.1.1.0", "$KV.RELOGIN_REDIS.process.first", "$KV.RELOGIN_CONTROL.all", "relogin.audit.pause",
		},
		subscribe: []string{">", "relogin.>", "relogin.jobs.urgent", "relogin.events.*.*", "_INBOX.>", "_INBOX_worker.>", "_INBOX_waiting.>", "$JS.API.>"},
	},
	"WAITING_UPSTREAM": {
		publish: []string{
			"relogin.events.succeeded.a", "relogin.dead.urgent", "relogin.dead.events", "$JS.API.STREAM.INFO.RELOGIN_JOBS",
			"$JS.API.CONSUMER.CREATE.RELOGIN_JOBS.x.relogin.jobs.urgent", "$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS.urgent",
			"$JS.API.STREAM.PURGE.RELOGIN_EVENTS", "$JS.API.DIRECT.GET.RELOGIN_JOBS",
		},
		subscribe: []string{">", "relogin.jobs.urgent", "_INBOX.>", "_INBOX_worker.>", "_INBOX_upstream.>", "_INBOX_consumer.>"},
	},
	"WORKER": {
		publish: []string{
			"relogin.jobs.urgent", "relogin.jobs.normal", "relogin.dead.other", "relogin.dead.events", "other.events.succeeded.a",
			"$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.CREATE.RELOGIN_EVENTS",
			"$JS.API.STREAM.DELETE.RELOGIN_JOBS", "$JS.API.STREAM.DELETE.RELOGIN_EVENTS", "$JS.API.STREAM.DELETE.KV_RELOGIN_REDIS",
			"$JS.API.STREAM.PURGE.RELOGIN_JOBS", "$JS.API.STREAM.PURGE.RELOGIN_EVENTS", "$JS.API.STREAM.PURGE.KV_RELOGIN_REDIS",
			"$JS.API.STREAM.UPDATE.RELOGIN_JOBS", "$JS.API.STREAM.UPDATE.RELOGIN_EVENTS",
			"$JS.API.STREAM.MSG.DELETE.RELOGIN_JOBS", "$JS.API.STREAM.MSG.DELETE.RELOGIN_EVENTS", "$JS.API.STREAM.MSG.GET.RELOGIN_JOBS",
			"$JS.API.DIRECT.GET.RELOGIN_JOBS", "$JS.API.DIRECT.GET.RELOGIN_DEAD", "$JS.API.DIRECT.GET.RELOGIN_EVENTS", "$JS.API.DIRECT.GET.RELOGIN_EVENTS.other.events.failed.a",
			"$JS.API.CONSUMER.CREATE.RELOGIN_JOBS", "$JS.API.CONSUMER.CREATE.RELOGIN_JOBS.x", "$JS.API.CONSUMER.CREATE.RELOGIN_JOBS.x.relogin.jobs.urgent",
			"$JS.API.CONSUMER.DURABLE.CREATE.RELOGIN_JOBS.x", "$JS.API.CONSUMER.CREATE.RELOGIN_DEAD.x.relogin.dead.*",
			"$JS.API.CONSUMER.CREATE.KV_RELOGIN_REDIS.x", "$JS.API.CONSUMER.DELETE.RELOGIN_JOBS.urgent", "$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS.other",
			"$JS.API.CONSUMER.LIST.RELOGIN_EVENTS", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.OTHER", "$JS.API.CONSUMER.INFO.RELOGIN_JOBS.other", "$JS.ACK.RELOGIN_EVENTS.x.1.1.1.1.0", "$KV.OTHER.key", "$SYS.REQ.SERVER.PING",
			"relogin.pods.state", "relogin.pods.look", "$SRV.PING", "$KV.RELOGIN_CONTROL.all", "relogin.audit.pause", "$JS.API.STREAM.DELETE.KV_RELOGIN_CONTROL", "$JS.API.STREAM.PURGE.KV_RELOGIN_CONTROL",
			"$JS.API.CONSUMER.CREATE.RELOGIN_AUDIT.x.relogin.audit.>", "$JS.API.DIRECT.GET.RELOGIN_AUDIT", "$JS.API.STREAM.MSG.GET.KV_RELOGIN_CONTROL",
		},
		subscribe: []string{">", "*.*.*.*", "relogin.>", "relogin.jobs.*", "relogin.dead.*", "_INBOX.>", "_INBOX_upstream.>", "_INBOX_consumer.>",
			"_INBOX_operator.>", "*.>", "$SRV.>", "$SRV.PING.other", "$JS.API.>", "$KV.>", "$JS.ACK.>"},
	},
	"CONSUMER": {
		publish: []string{
			"relogin.events.succeeded.a", "relogin.jobs.urgent", "relogin.jobs.normal", "relogin.dead.urgent", "relogin.dead.normal", "relogin.dead.other", "relogin.account.freed.a",
			"$JS.API.STREAM.DELETE.RELOGIN_EVENTS", "$JS.API.STREAM.PURGE.RELOGIN_EVENTS", "$JS.API.STREAM.MSG.DELETE.RELOGIN_EVENTS",
			"$JS.API.STREAM.INFO.RELOGIN_JOBS", "$JS.API.CONSUMER.CREATE.RELOGIN_JOBS.x.relogin.jobs.urgent",
			"$JS.API.CONSUMER.CREATE.RELOGIN_DEAD.x.relogin.dead.*", "$JS.API.STREAM.MSG.GET.RELOGIN_DEAD", "$JS.API.DIRECT.GET.RELOGIN_DEAD", "$JS.API.CONSUMER.MSG.NEXT.RELOGIN_JOBS.urgent",
			"$JS.API.DIRECT.GET.RELOGIN_JOBS", "$JS.ACK.RELOGIN_JOBS.urgent.1.1.1.1.0", "$KV.RELOGIN_REDIS.process.first", "$KV.RELOGIN_CONTROL.all", "relogin.audit.pause",
		},
		subscribe: []string{">", "relogin.jobs.urgent", "relogin.dead.*", "_INBOX.>", "_INBOX_worker.>", "_INBOX_operator.>"},
	},
	"OPERATOR": {
		publish:   []string{"other.jobs.urgent", "$SYS.REQ.SERVER.PING"},
		subscribe: []string{">", "_INBOX.>", "_INBOX_worker.>", "$SYS.>"},
	},
}

func (d *deployment) testNATSRefuses(t *testing.T) {
	operator := d.nats.connect(t, "OPERATOR")
	before := streams(t, operator)
	for user, refused := range mayNot {
		t.Run(user, func(t *testing.T) {
			nc := d.nats.connect(t, user)
			for _, subject := range refused.publish {
				checkRefused(t, nc, "publish to "+subject, func() error { return nc.Publish(subject, []byte("{}")) })
			}
			for _, subject := range refused.subscribe {
				checkRefused(t, nc, "subscribe to "+subject, func() error { _, err := nc.SubscribeSync(subject); return err })
			}
		})
	}
	if after := streams(t, operator); before != after {
		t.Errorf("the streams were %s, and are %s", before, after)
	}
}

// checkRefused fails the test unless the server refuses what do sends, for that reason.
func checkRefused(t *testing.T, nc *nats.Conn, what string, do func() error) {
	t.Helper()
	before := nc.LastError()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(10 * time.Second); err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatal(err)
	}
	// The server's refusal comes before the answer that Flush waits for.
	if err := nc.LastError(); err == before || !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("may %s: %v", what, err)
	}
}

// streams returns how many messages each stream holds.
func streams(t *testing.T, nc *nats.Conn) string {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range []string{"RELOGIN_JOBS", "RELOGIN_EVENTS", "RELOGIN_DEAD", "RELOGIN_AUDIT", "KV_RELOGIN_REDIS", "KV_RELOGIN_CONTROL"} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s: %d; ", name, stream.CachedInfo().State.Msgs)
	}
	return text.String()
}

// Who has a client's certificate, but not the servers' password, is no server.
func (d *deployment) testNATSRoutes(t *testing.T) {
	config := d.ca.trust()
	config.Certificates = []tls.Certificate{d.nats.cert.load(t)}
	for password, says := range map[string]string{"routesecret": "PONG", "guess": "-ERR 'Authorization Violation'"} {
		conn, err := net.DialTimeout("tcp", d.nats.route, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		config.ServerName = "127.0.0.1"
		secure := tls.Client(conn, config)
		fmt.Fprintf(secure, "CONNECT {\"verbose\":false,\"user\":\"route\",\"pass\":%q,\"tls_required\":true,\"name\":\"x\",\"cluster\":\"relogin\"}\r\nPING\r\n", password)
		text := ""
		for lines := bufio.NewScanner(secure); !strings.Contains(text, says) && lines.Scan(); {
			text += lines.Text() + "\n"
		}
		if !strings.Contains(text, says) {
			t.Errorf("with password %q the answer is %q", password, text)
		}
		conn.Close()
	}
}
