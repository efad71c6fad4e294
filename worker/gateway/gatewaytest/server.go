package gatewaytest

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// Server is a [Gateway] that listens on a port of loopback.
type Server struct {
	*Gateway
	URL string // base address, without a slash at the end

	http   *http.Server
	served chan struct{} // closed when Serve has returned
}

// NewServer starts a server. It panics when it can't listen. The caller calls
// [Server.Close].
func NewServer(options Options) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("gatewaytest: %v", err))
	}
	g := New(options)
	s := &Server{
		Gateway: g,
		URL:     "http://" + listener.Addr().String(),
		http:    &http.Server{Handler: g, ErrorLog: log.New(io.Discard, "", 0)},
		served:  make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // ends when Close closes the listener
	}()
	return s
}

// Close closes all connections and the gateway, and waits for the handlers.
func (s *Server) Close() {
	s.Gateway.Close()
	_ = s.http.Close()
	<-s.served
}
