package postonce

import (
	"io"
	"net"
	"testing"
)

// halfConn takes n bytes of each write, over a TLS that tells of none.
type halfConn struct {
	net.Conn
	n      int
	socket *socket
}

func (h halfConn) Write(p []byte) (int, error) {
	if h.socket != nil {
		h.socket.taken += h.n
		return 0, io.ErrClosedPipe
	}
	return h.n, io.ErrClosedPipe
}

func TestWriteKnowsWhatGotOut(t *testing.T) {
	for n, want := range []bool{false, true} {
		tcp := &conn{stream: halfConn{n: n}}
		tls := &conn{}
		tls.stream = halfConn{n: n, socket: &tls.socket}
		for kind, c := range map[string]*conn{"TCP": tcp, "TLS": tls} {
			if started, err := c.write([]byte("xy")); started != want || err == nil {
				t.Errorf("%s took %d bytes: started %v, %v", kind, n, started, err)
			}
		}
	}
}
