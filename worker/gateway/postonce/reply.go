package postonce

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
)

const (
	maxHeadBytes = 16 << 10 // of a reply, and of the informational ones before it
	bufferBytes  = 4 << 10
)

var (
	errLongHead  = errors.New("the head of the reply is over 16 KiB")
	errMalformed = errors.New("the reply is not well-formed HTTP/1.1")
)

// buffer is what one reply is read through.
type buffer struct {
	*bufio.Reader
	bounded io.LimitedReader
}

var buffers = sync.Pool{New: func() any {
	b := &buffer{}
	b.Reader = bufio.NewReaderSize(&b.bounded, bufferBytes)
	return b
}}

// newBuffer returns one of buffers, for a head.
func (c *conn) newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.bounded = io.LimitedReader{R: c, N: maxHeadBytes}
	b.Reset(&b.bounded)
	return b
}

// posted tells net/http what the replies are to. Nothing changes it.
var posted = &http.Request{Method: http.MethodPost}

// readReply reads the head of the reply.
func (c *conn) readReply() (*http.Response, error) {
	b := c.newBuffer()
	resp, err := c.readHead(b, posted)
	if err != nil {
		buffers.Put(b)
		return nil, err
	}
	b.bounded.N = math.MaxInt64
	last := resp.Close || !resp.ProtoAtLeast(1, 1) || resp.StatusCode == http.StatusSwitchingProtocols
	resp.Body = &replyBody{conn: c, buffer: b, body: resp.Body, last: last}
	return resp, nil
}

// readHead reads a head, and skips informational ones before it.
func (c *conn) readHead(b *buffer, to *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(b.Reader, to)
		switch {
		case err != nil && b.bounded.N <= 0:
			return nil, errLongHead
		case err != nil:
			return nil, c.problem(err)
		case resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols:
			return resp, nil
		}
	}
}

// problem says why a reply can't be read. Errors of net/http may quote it.
func (c *conn) problem(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(c.broken, io.EOF):
		return io.ErrUnexpectedEOF
	case c.broken != nil:
		return c.broken
	}
	return errMalformed
}

// replyBody reads the body of a reply.
type replyBody struct {
	conn   *conn
	buffer *buffer // nil: it is closed
	body   io.Reader
	last   bool // the connection takes no other request
	ended  bool // all of it was read
}

func (r *replyBody) Read(p []byte) (int, error) {
	if r.buffer == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := r.body.Read(p)
	r.ended = r.ended || errors.Is(err, io.EOF)
	return n, r.conn.problem(err)
}

// Close lets another call have the connection if that is safe, and closes it else.
func (r *replyBody) Close() error {
	if r.buffer == nil {
		return nil
	}
	whole := r.ended && !r.last && r.buffer.Buffered() == 0 && r.conn.broken == nil
	buffers.Put(r.buffer)
	r.buffer = nil
	r.conn.end(whole)
	return nil
}
