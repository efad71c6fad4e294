package gateway

import (
	"bufio"
	"context"
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

// exchange is post over a connection of this package's own. The calling goroutine does
// it all, and its stack is small while it waits: what is done before and after is in
// functions that have returned by then, or are called later.
func (p *pool) exchange(ctx context.Context, one *call) (*http.Response, error) {
	c, err := p.send(ctx, one)
	if err != nil {
		return nil, err
	}
	var resp *http.Response
	if err = c.wait(); err == nil {
		resp, err = c.readReply()
	}
	if err != nil {
		c.end(false)
	}
	return resp, err
}

// send returns the connection that took the request. A kept one that takes no byte gives
// way to another, and beforeSend is asked again then; bytes never go to two.
func (p *pool) send(ctx context.Context, one *call) (*conn, error) {
	request := one.tenant.request(one.path, one.body)
	for {
		c, err := p.get(ctx, one.tenant.endpoint)
		if err != nil {
			return nil, err
		}
		c.begin(ctx)
		if err := one.beforeSend(); err != nil {
			c.end(true)
			return nil, err
		}
		one.started, err = c.write(request)
		if err == nil {
			return c, nil
		}
		c.end(false)
		if one.started || c.kept.IsZero() {
			return nil, err
		}
	}
}

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

// posted tells net/http what the replies are to. Nothing changes it.
var posted = &http.Request{Method: http.MethodPost}

// readReply reads the head of the reply, and skips informational ones before it.
func (c *conn) readReply() (*http.Response, error) {
	b := buffers.Get().(*buffer)
	b.bounded = io.LimitedReader{R: c, N: maxHeadBytes}
	b.Reset(&b.bounded)
	for {
		resp, err := http.ReadResponse(b.Reader, posted)
		switch {
		case err != nil && b.bounded.N <= 0:
			err = errLongHead
		case err != nil:
			err = c.problem(err)
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue
		default:
			b.bounded.N = math.MaxInt64
			last := resp.Close || !resp.ProtoAtLeast(1, 1) || resp.StatusCode == http.StatusSwitchingProtocols
			resp.Body = &replyBody{conn: c, buffer: b, body: resp.Body, last: last}
			return resp, nil
		}
		buffers.Put(b)
		return nil, err
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
