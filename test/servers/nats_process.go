package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATSProcess is a nats-server with a configuration file as a process of its own, for tests
// that kill servers or send them signals. [NATSServer] is for all others.
type NATSProcess struct {
	*Process
	Addr string // host:port of its listener for clients

	file string
}

// StartNATSProcess starts the program, which [BuildNATS] has compiled, with an address and
// what else the configuration says. It returns at once.
func StartNATSProcess(tb testing.TB, program, name, config string) *NATSProcess {
	tb.Helper()
	p := &NATSProcess{Addr: FreeAddr(tb), file: filepath.Join(tb.TempDir(), "nats.conf")}
	p.Process = &Process{TB: tb, Name: name, Args: []string{program, "-c", p.file}}
	p.configure(config)
	p.Start()
	return p
}

// Reload has the server take another configuration, as far as it can while it runs.
func (p *NATSProcess) Reload(config string) {
	p.TB.Helper()
	p.configure(config)
	p.Signal(syscall.SIGHUP)
}

func (p *NATSProcess) configure(config string) {
	p.TB.Helper()
	text := fmt.Sprintf("server_name: %q\nlisten: %q\n%s\n", p.Name, p.Addr, config)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		p.TB.Fatal(err)
	}
}

// ConnectNATS blocks until one of the servers, whose URLs commas separate, takes a
// connection. It is made again whenever it is lost, and ends with the test.
func ConnectNATS(tb testing.TB, urls string) (nc *nats.Conn) {
	tb.Helper()
	var err error
	ok := Poll(natsTimeout, func() bool {
		nc, err = nats.Connect(urls, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
		return err == nil
	})
	if !ok {
		tb.Fatalf("connect to nats: %v", err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// AwaitJetStream blocks until JetStream answers.
func AwaitJetStream(tb testing.TB, js jetstream.JetStream) {
	tb.Helper()
	var err error
	if !Poll(natsTimeout, func() bool { _, err = js.AccountInfo(tb.Context()); return err == nil }) {
		tb.Fatalf("JetStream does not come up: %v", err)
	}
}
