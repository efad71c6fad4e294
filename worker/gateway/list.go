package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	maxList        = 64 << 20 // bytes of a list as it comes
	maxListed      = 16 << 20 // bytes of its accounts in memory, some 130,000 of the usual length
	listedOverhead = 64       // of an account in memory, beside its texts
	maxListedValue = 64 << 10 // bytes of an entry, and of any other value beside it
)

var (
	errList      = errors.New("the list is not an object with a code and a list under data")
	errLargeList = errors.New("the list is too large")
	errLongValue = fmt.Errorf("%w: it has a value of over 64 KiB", errLargeList)
	errLongList  = fmt.Errorf("%w: its accounts do not fit into 16 MiB", errLargeList)
)

// decodeList reads a list of at most limit bytes: the wId of each account. It takes little
// more memory than what it returns. An entry whose wcId or wId is too long for an event
// is passed over.
func decodeList(r io.Reader, limit int64) (map[string]string, error) {
	all := &io.LimitedReader{R: r, N: limit}
	d := &listDecoder{value: io.LimitedReader{R: &shortener{from: all}, N: maxListedValue}}
	d.Decoder = json.NewDecoder(&d.value)
	list, code := d.read()
	switch {
	case all.N <= 0:
		return nil, fmt.Errorf("%w: it is over %d bytes", errLargeList, limit)
	case errors.Is(d.err, errList) && d.value.N <= 0:
		return nil, errLongValue
	case d.err != nil:
		return nil, d.err
	case code != codeOK:
		return nil, fmt.Errorf("the gateway answered code %q", cut(code, maxCodeBytes))
	}
	return list, nil
}

// listDecoder decodes a list whose long texts are shortened, value by value. After an
// error all it finds is nothing.
type listDecoder struct {
	*json.Decoder
	value io.LimitedReader // bounds what is read for the next value
	err   error
}

func (d *listDecoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// more tells whether another member comes, which may be as long as a value may.
func (d *listDecoder) more() bool {
	d.value.N = maxListedValue
	return d.err == nil && d.More()
}

func (d *listDecoder) token() json.Token {
	t, err := d.Token()
	if err != nil {
		d.fail(errList)
	}
	return t
}

func (d *listDecoder) expect(bracket json.Delim) {
	if d.token() != bracket {
		d.fail(errList)
	}
}

func (d *listDecoder) any() gjson.Result {
	var raw json.RawMessage
	if d.Decode(&raw) != nil {
		d.fail(errList)
	}
	return gjson.ParseBytes(raw)
}

func (d *listDecoder) read() (list map[string]string, code string) {
	d.expect('{')
	for d.more() {
		switch d.token() {
		case "code":
			code = plainNumber(readText(d.any()))
		case "data":
			list = d.entries()
		default:
			d.any()
		}
	}
	d.expect('}')
	return list, code
}

// entries reads the list itself; null is an empty one.
func (d *listDecoder) entries() map[string]string {
	list, size := map[string]string{}, 0
	if start := d.token(); start == nil {
		return list
	} else if start != json.Delim('[') {
		d.fail(errList)
	}
	for d.more() {
		e := readEnvelope(d.any())
		id, _ := e.text(keyWcID)
		login, _ := e.text(keyWID)
		if id == "" || login == "" {
			continue
		}
		if before, again := list[id]; again {
			size -= len(before)
		} else {
			size += len(id) + listedOverhead
		}
		if size += len(login); size > maxListed {
			d.fail(errLongList)
		}
		list[strings.Clone(id)] = strings.Clone(login)
	}
	d.expect(']')
	return list
}
