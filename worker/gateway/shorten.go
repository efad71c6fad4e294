package gateway

import (
	"bytes"
	"errors"
	"io"
)

const (
	usualBytes    = 4 << 10  // real replies have one
	maxKeptBytes  = 64 << 10 // of a reply whose long texts were shortened
	maxReplyBytes = 4 << 20  // of a reply as it comes: a thousand times the usual, and room
)

var errLongReply = errors.New("the reply is over 4 MiB, or over 64 KiB without the ends of its long texts")

// readBody reads a body into kept, which is empty, and returns how many bytes it had. In
// one that is larger than usual the long texts are shortened as they come, so that
// thousands of large replies at once need little memory, and none waits for another.
func readBody(kept *bytes.Buffer, body io.Reader) (n int64, err error) {
	n, err = kept.ReadFrom(io.LimitReader(body, usualBytes+1))
	if err != nil || n <= usualBytes {
		return n, err
	}
	all := &io.LimitedReader{R: body, N: maxReplyBytes + 1 - n}
	s := &shortener{from: all}
	s.shorten(kept.Bytes()) // leaves out nothing: no text is long yet
	_, err = kept.ReadFrom(io.LimitReader(s, maxKeptBytes+1-n))
	if err == nil && (all.N == 0 || kept.Len() > maxKeptBytes) {
		err = errLongReply
	}
	return maxReplyBytes + 1 - all.N, err
}

// shortener reads JSON and leaves out the ends of texts, keys among them, that are longer
// than maxTextBytes; [isLong] finds these. What it gives is valid if and only if what it
// reads is, but for escapes within what is left out.
type shortener struct {
	from   io.Reader
	inText bool
	length int  // of the text so far
	drops  bool // the text is long enough
	since  int  // how many bytes came since a backslash that escapes
}

// Read implements [io.Reader]. It leaves out in place, and holds no buffer.
func (s *shortener) Read(p []byte) (int, error) {
	for {
		n, err := s.from.Read(p)
		kept := s.shorten(p[:n])
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
}

// shorten moves what is kept to the front, and returns how much that is.
func (s *shortener) shorten(p []byte) (kept int) {
	for _, b := range p {
		if s.drops && s.since > 0 && b != '"' && b != '\\' && b >= ' ' {
			continue // most of a long text
		}
		if s.keeps(b) {
			p[kept] = b
			kept++
		}
	}
	return kept
}

// keeps tells whether the next byte is kept. An escape is kept whole or not at all, and
// what may not be in a text always is: it stays invalid.
func (s *shortener) keeps(b byte) bool {
	if !s.inText {
		s.inText, s.length, s.drops, s.since = b == '"', 0, false, len(`\u0000`)
		return true
	}
	s.since++
	escapes := b == '\\' && s.since > 1
	if b == '"' && s.since > 1 {
		s.inText, s.drops = false, false
		return true
	}
	if s.length > maxTextBytes && (escapes || s.since >= len(`\u0000`)) {
		s.drops = true
	}
	if escapes {
		s.since = 0
	}
	s.length++
	return !s.drops || b < ' '
}

// isLong tells whether the text, as it is written, may have been shortened.
func isLong(raw string) bool { return len(raw) > maxTextBytes+len(`""`) }
