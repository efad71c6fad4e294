package gatewaytest

import "net/http/httptest"

// Server is a [Gateway] that listens on a port of loopback.
type Server struct {
	*Gateway
	URL string // base address, without a slash at the end

	http *httptest.Server
}

// NewServer starts a server. It panics when it can't listen. The caller calls
// [Server.Close].
func NewServer(options Options) *Server {
	g := New(options)
	s := httptest.NewServer(g)
	return &Server{g, s.URL, s}
}

// Close closes all connections and the gateway, and waits for the handlers.
func (s *Server) Close() {
	s.Gateway.Close()
	s.http.Close()
}
