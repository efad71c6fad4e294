package servers

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATSServer is a nats-server with JetStream in this process.
type NATSServer struct {
	tb      testing.TB
	options server.Options
	now     *server.Server
}

// NATS starts a server that lives as long as the test, and returns its URL.
func NATS(tb testing.TB) string {
	tb.Helper()
	return StartNATS(tb, nil).URL()
}

// StartNATS starts a server that lives as long as the test. adjust may change its
// options; nil: no change.
func StartNATS(tb testing.TB, adjust func(*server.Options)) *NATSServer {
	tb.Helper()
	s := &NATSServer{tb: tb, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: tb.TempDir(),
		NoSigs: true, NoLog: true, ServerName: "test",
	}}
	if adjust != nil {
		adjust(&s.options)
	}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// URL returns nats://host:port, the same after a restart.
func (s *NATSServer) URL() string { return s.now.ClientURL() }

// Start starts the server again on its port, with what it has stored.
func (s *NATSServer) Start() {
	s.tb.Helper()
	options := s.options
	now, err := server.NewServer(&options)
	if err != nil {
		s.tb.Fatalf("start nats: %v", err)
	}
	now.Start()
	if !now.ReadyForConnections(30 * time.Second) {
		s.tb.Fatal("start nats: it was not ready within 30 s")
	}
	s.now, s.options.Port = now, options.Port
}

// Stop stops the server; what it has stored stays. It blocks until then.
func (s *NATSServer) Stop() {
	s.now.Shutdown()
	s.now.WaitForShutdown()
}
