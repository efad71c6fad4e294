package cache

import (
	"bytes"
	"strconv"
	"sync"
	"time"
)

// call is one run of a script: its keys and arguments, which are written one after the
// other, keys first, and what came of it.
type call struct {
	script  *script
	account keys         // whose keys are added
	buf     bytes.Buffer // keys and arguments
	keys    int
	ends    []int    // where each key and argument ends in buf
	text    []string // each of them
	args    []any    // the whole command

	abandoned  bool          // its caller no longer waits; held by the shard's lock
	redirected bool          // sent again, to where the first server pointed
	done       chan struct{} // takes one value once reply and err are set; nil: nobody waits
	late       *time.Timer
	reply      any
	err        error
}

var calls = sync.Pool{New: func() any {
	late := time.NewTimer(time.Hour)
	late.Stop()
	return &call{done: make(chan struct{}, 1), late: late}
}}

// newCall returns a call about the account without keys and arguments.
func (c *Client) newCall(s *script, wcID string) *call {
	one := calls.Get().(*call)
	one.script, one.account = s, c.keys(wcID)
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
	c.reply, c.err, c.redirected = nil, nil, false
	c.keys, c.ends, c.text, c.args = 0, c.ends[:0], c.text[:0], c.args[:0]
	calls.Put(c)
}

// accountKeys adds keys of the account: pairs of what [keys.key] takes.
func (c *call) accountKeys(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		c.key(c.account.namespace, ":{", c.account.account, "}:", pairs[i], pairs[i+1])
	}
}

func (c *call) key(parts ...any) {
	c.keys++
	c.arg(parts...)
}

// arg adds an argument. Those that are empty are left out at the end.
func (c *call) arg(parts ...any) {
	c.write(parts...)
	c.ends = append(c.ends, c.buf.Len())
}

// write writes strings, an int or an int64 as the beginning of the next argument.
func (c *call) write(parts ...any) {
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			c.buf.WriteString(part)
		case int:
			c.buf.Write(strconv.AppendInt(c.buf.AvailableBuffer(), int64(part), 10))
		case int64:
			c.buf.Write(strconv.AppendInt(c.buf.AvailableBuffer(), part, 10))
		}
	}
}

// timeArg adds a time in Unix milliseconds, an empty argument for none.
func (c *call) timeArg(t time.Time) {
	if !t.IsZero() {
		c.write(t.UnixMilli())
	}
	c.arg()
}

// seal makes the command of what was written: one allocation for all of the text.
func (c *call) seal() {
	for n := len(c.ends); n > c.keys && c.ends[n-1] == c.ends[n-2]; n-- {
		c.ends = c.ends[:n-1]
	}
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
