package servers

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
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
	s := newNATS(tb, "test")
	if adjust != nil {
		adjust(&s.options)
	}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

func newNATS(tb testing.TB, name string) *NATSServer {
	return &NATSServer{tb: tb, options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: tb.TempDir(),
		NoSigs: true, NoLog: true, ServerName: name,
	}}
}

const natsClusterSize = 3

// StartNATSCluster starts a cluster of three servers in this process, which live as long as
// the test, and blocks until JetStream has a leader that all have joined. adjust may change
// the options of node 0, 1 or 2, which have the addresses of the cluster already; nil: no
// change.
func StartNATSCluster(tb testing.TB, adjust func(node int, o *server.Options)) []*NATSServer {
	tb.Helper()
	SkipIfShort(tb, "it starts a cluster")
	var nodes []*NATSServer
	var routes []*url.URL
	for range natsClusterSize {
		routes = append(routes, &url.URL{Scheme: "nats", Host: FreeAddr(tb)})
	}
	for i, route := range routes {
		s := newNATS(tb, fmt.Sprint("nats-", i+1))
		s.options.Routes, s.options.Cluster = routes, server.ClusterOpts{Name: "test", Host: route.Hostname()}
		s.options.Cluster.Port, _ = strconv.Atoi(route.Port())
		if adjust != nil {
			adjust(i, &s.options)
		}
		s.launch()
		tb.Cleanup(s.Stop)
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		s.awaitReady()
	}
	Eventually(tb, "a leader of JetStream", func() bool {
		return slices.ContainsFunc(nodes, func(s *NATSServer) bool {
			return s.now.JetStreamIsLeader() && len(s.now.JetStreamClusterPeers()) == len(nodes)
		})
	})
	return nodes
}

// URL returns nats://host:port, the same after a restart.
func (s *NATSServer) URL() string { return s.now.ClientURL() }

// Addr returns host:port of its listener for clients, the same after a restart.
func (s *NATSServer) Addr() string { return s.now.Addr().String() }

// Start starts the server again on its port, with what it has stored. It blocks until the
// server takes connections.
func (s *NATSServer) Start() {
	s.tb.Helper()
	s.launch()
	s.awaitReady()
}

func (s *NATSServer) launch() {
	s.tb.Helper()
	options := s.options
	now, err := server.NewServer(&options)
	if err != nil {
		s.tb.Fatalf("start nats: %v", err)
	}
	now.Start()
	s.now = now
}

func (s *NATSServer) awaitReady() {
	s.tb.Helper()
	if !s.now.ReadyForConnections(natsTimeout) {
		s.tb.Fatalf("start nats: it was not ready within %v", natsTimeout)
	}
	s.options.Port = s.now.Addr().(*net.TCPAddr).Port
}

const natsTimeout = 30 * time.Second

// Stop stops the server; what it has stored stays. It blocks until then.
func (s *NATSServer) Stop() {
	s.now.Shutdown()
	s.now.WaitForShutdown()
}
