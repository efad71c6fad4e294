package servers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Peer is the server's end of a connection, on which a test speaks HTTP as it likes.
type Peer struct {
	net.Conn
	In     *bufio.Reader
	Number int // of the connection, from 1 on
}

// ServePeers runs serve for each connection to the address, and closes that then. With a
// config it speaks TLS. It ends with the test, which is skipped when nobody can listen there.
func ServePeers(tb testing.TB, address string, config *tls.Config, serve func(*Peer)) (url string) {
	tb.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		tb.Skip(err) // IPv6 is not everywhere
	}
	var serving sync.WaitGroup
	var open sync.Map
	serving.Go(func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if config != nil {
				c = tls.Server(c, config)
			}
			open.Store(c, true)
			serving.Go(func() {
				defer c.Close()
				serve(&Peer{c, bufio.NewReader(c), number})
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		serving.Wait()
	})
	if config != nil {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// Request reads a request, and tells whether there was one.
func (p *Peer) Request() bool {
	r, err := http.ReadRequest(p.In)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err == nil
}

// Peek returns the head of the request that comes, which is still to be read; nil if none comes.
func (p *Peer) Peek() *http.Request {
	for n := 1; ; n++ {
		head, err := p.In.Peek(n)
		if err != nil {
			return nil
		}
		if bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			r, _ := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
			return r
		}
	}
}

// Say writes the text.
func (p *Peer) Say(text string) { _, _ = io.WriteString(p, text) }

// Reset ends the connection without a word.
func (p *Peer) Reset() {
	c := p.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// Forward is what an HTTP proxy does: it passes on, to the server that the first request is
// for, what comes, and what comes back, until one of them ends.
func (p *Peer) Forward() {
	r := p.Peek()
	if r == nil {
		return
	}
	if r.Method == http.MethodConnect {
		p.Request()
		p.Say("HTTP/1.1 200 Connection established\r\n\r\n")
	}
	p.Pipe(r.Host)
}

// Pipe passes all bytes on to the address, and those that come back, until one of them ends.
func (p *Peer) Pipe(address string) {
	defer p.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var passing sync.WaitGroup
	defer passing.Wait()
	defer to.Close()
	defer p.Close()
	passing.Go(func() {
		_, _ = io.Copy(to, p.In)
		to.Close()
	})
	_, _ = io.Copy(p.Conn, to)
}
