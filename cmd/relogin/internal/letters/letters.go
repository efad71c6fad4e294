// Package letters lists dead letters, shows them to people, brings them back and drops them.
package letters

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/relogin/relogin/queue"
)

// Group is the dead letters that died of the same.
type Group struct {
	Reason   string    `json:"reason"` // of the newest one
	Letters  int       `json:"letters"`
	Accounts int       `json:"accounts"` // at the least: no more than a thousand are told apart
	Oldest   time.Time `json:"oldest"`
	Newest   time.Time `json:"newest"`
	Example  uint64    `json:"example"` // the sequence of the newest one

	accounts map[string]bool
}

const maxAccounts = 1000

// varying is what differs between reasons that are the same: numbers, and what is quoted.
var varying = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\d+`)

// Groups are dead letters, by what their reasons have in common.
type Groups map[string]*Group

// Add counts a letter.
func (g Groups) Add(l *queue.DeadLetter) {
	kind := varying.ReplaceAllString(l.Reason, "#")
	one := g[kind]
	if one == nil {
		one = &Group{Oldest: l.StoredAt, accounts: map[string]bool{}}
		g[kind] = one
	}
	one.Letters++
	one.Reason, one.Newest, one.Example = l.Reason, l.StoredAt, l.Sequence
	if l.WcID != "" && len(one.accounts) < maxAccounts {
		one.accounts[l.WcID] = true
	}
	one.Accounts = len(one.accounts)
}

// All returns the groups, those with most letters first.
func (g Groups) All() []*Group {
	return slices.SortedFunc(maps.Values(g), func(a, b *Group) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Example, b.Example))
	})
}

const hidden = "(not shown)"

// Body returns a letter's body as indented JSON, where it is JSON or msgpack, else as a quoted
// text. What is a secret of a login is not shown.
func Body(data []byte) string {
	value, ok := decode(data)
	if !ok {
		return fmt.Sprintf("%d bytes that are neither JSON nor msgpack: %.1000q", len(data), data)
	}
	if event, ok := value.(map[string]any); ok {
		hideSecrets(event["login"])
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Sprintf("%d bytes that JSON can't show (%v): %.1000q", len(data), err, data)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func hideSecrets(login any) {
	members, _ := login.(map[string]any)
	for _, key := range []string{"token", "data"} {
		if _, has := members[key]; has {
			members[key] = hidden
		}
	}
}

// decode returns what a body says, and whether all of it is one value of either encoding.
func decode(data []byte) (value any, ok bool) {
	text := json.NewDecoder(bytes.NewReader(data))
	text.UseNumber() // large ones stay what they are
	if err := text.Decode(&value); err == nil && !text.More() {
		return cut(value, maxDepth), true
	}
	b := bytes.NewReader(data)
	value, err := decodeMsgpack(msgpack.NewDecoder(b), maxDepth)
	return value, err == nil && b.Len() == 0 && (len(data) > 1 || data[0] >= utf8.RuneSelf) // else it is a character
}

const (
	maxDepth = 16 // of what is shown: indented, a body of nothing but brackets would be gigabytes
	deeper   = "(deeper levels are not shown)"
)

var errTooDeep = errors.New("nested too deep")

// decodeMsgpack reads a value. Unlike the library it believes no length before it has read so
// much, and takes keys of any type.
func decodeMsgpack(dec *msgpack.Decoder, depth int) (any, error) {
	code, err := dec.PeekCode()
	switch {
	case err != nil:
		return nil, err
	case depth == 0:
		return nil, errTooDeep
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		n, err := dec.DecodeMapLen()
		m := map[string]any{}
		for ; n > 0 && err == nil; n-- {
			var key any
			if key, err = decodeMsgpack(dec, depth-1); err == nil {
				m[fmt.Sprint(key)], err = decodeMsgpack(dec, depth-1)
			}
		}
		return m, err
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		n, err := dec.DecodeArrayLen()
		list := []any{}
		for ; n > 0 && err == nil; n-- {
			var one any
			one, err = decodeMsgpack(dec, depth-1)
			list = append(list, one)
		}
		return list, err
	}
	if msgpcode.IsBin(code) {
		return dec.DecodeString()
	}
	return dec.DecodeInterface()
}

// cut returns a value of JSON without what is nested too deep.
func cut(value any, depth int) any {
	switch v := value.(type) {
	case map[string]any:
		if depth == 0 {
			return deeper
		}
		for key := range v {
			v[key] = cut(v[key], depth-1)
		}
	case []any:
		if depth == 0 {
			return deeper
		}
		for i := range v {
			v[i] = cut(v[i], depth-1)
		}
	}
	return value
}
