package cache

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// call is one run of a script: its keys and arguments, which are written one after the
// other, keys first, and what came of it. Whoever wins claimed decides whether it is
// sent: the flusher that takes it, or the caller that no longer waits for it.
type call struct {
	script *script
	buf    bytes.Buffer // keys and arguments
	keys   int
	ends   []int    // where each key and argument ends in buf
	text   []string // each of them
	args   []any    // the whole command

	claimed    atomic.Bool
	redirected bool          // sent again, to where the first server pointed
	done       chan struct{} // takes one value once reply and err are set; nil: nobody waits
	late       *time.Timer
	jobs       int // that a tidying is about
	reply      any
	err        error
}

var calls = sync.Pool{New: func() any {
	late := time.NewTimer(time.Hour)
	late.Stop()
	return &call{done: make(chan struct{}, 1), late: late}
}}

// newCall returns a call without keys and arguments, which its caller frees once it
// has the reply.
func newCall(s *script) *call {
	one := calls.Get().(*call)
	one.script = s
	return one
}

// free gives the call to those that come later. Nobody else may know of it any more.
func (c *call) free() {
	const much = 16 << 10 // a result of more bytes is rare
	if c.buf.Cap() > much {
		return
	}
	c.buf.Reset()
	clear(c.text)
	c.script, c.reply, c.err, c.redirected = nil, nil, nil, false
	c.keys, c.ends, c.text, c.args = 0, c.ends[:0], c.text[:0], c.args[:0]
	c.claimed.Store(false)
	calls.Put(c)
}

// key adds a key of an account.
func (c *call) key(k keys, name, of string) {
	writeAll(&c.buf, k.namespace, ":{", k.account, "}:", name, of)
	c.keyEnds()
}

// plainKey adds a key that is not an account's.
func (c *call) plainKey(parts ...string) {
	writeAll(&c.buf, parts...)
	c.keyEnds()
}

func (c *call) keyEnds() {
	c.keys++
	c.argEnds()
}

// argEnds makes an argument of what was written to buf since the one before.
func (c *call) argEnds() { c.ends = append(c.ends, c.buf.Len()) }

func (c *call) arg(parts ...string) {
	writeAll(&c.buf, parts...)
	c.argEnds()
}

func (c *call) intArg(n int64) {
	writeInt(&c.buf, n)
	c.argEnds()
}

// seal makes the command of what was written: one allocation for all of the text.
func (c *call) seal() {
	all, from := c.buf.String(), 0
	for _, end := range c.ends {
		c.text = append(c.text, all[from:end])
		from = end
	}
	c.args = append(c.args, "evalsha", c.script.hash, c.keys)
	for i := range c.text {
		c.args = append(c.args, &c.text[i]) // a pointer needs no allocation, as a string would
	}
}

// withSource makes the sealed command one that brings the script along.
func (c *call) withSource() { c.args[0], c.args[1] = "eval", c.script.source }
