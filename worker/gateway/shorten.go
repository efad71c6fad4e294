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
	start := bytes.NewReader(bytes.Clone(kept.Bytes()))
	kept.Reset()
	all := &io.LimitedReader{R: io.MultiReader(start, body), N: maxReplyBytes + 1}
	_, err = kept.ReadFrom(io.LimitReader(&shortener{from: all}, maxKeptBytes+1))
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
	escape int  // how many bytes of an escape are to come; below 0: the next one tells
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
	for i := 0; i < len(p); i++ {
		if s.drops && s.escape == 0 {
			i += plainLength(p[i:])
		}
		if i < len(p) && s.keeps(p[i]) {
			p[kept] = p[i]
			kept++
		}
	}
	return kept
}

// plainLength returns how many bytes come before one that means something in a text.
func plainLength(p []byte) int {
	for i, b := range p {
		if b == '"' || b == '\\' || b < ' ' {
			return i
		}
	}
	return len(p)
}

// keeps tells whether the next byte is kept. An escape is kept whole or not at all, and
// what may not be in a text always is: it stays invalid.
func (s *shortener) keeps(b byte) bool {
	if !s.inText {
		s.inText, s.length = b == '"', 0
		return true
	}
	switch {
	case s.escape < 0:
		s.escape = 0
		if b == 'u' {
			s.escape = len("0000")
		}
	case b == '"':
		s.inText, s.drops, s.escape = false, false, 0
		return true
	case s.escape > 0:
		s.escape--
	default:
		s.drops = s.length > maxTextBytes
		if b == '\\' {
			s.escape = -1
		}
	}
	s.length++
	return !s.drops || b < ' '
}

// isLong tells whether the text, as it is written, may have been shortened.
func isLong(raw []byte) bool { return len(raw) > maxTextBytes+len(`""`) }
