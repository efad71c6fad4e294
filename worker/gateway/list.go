package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	maxList        = 64 << 20 // bytes of a list as it comes
	maxListed      = 16 << 20 // bytes of its accounts in memory, some 130,000 of the usual length
	listedOverhead = 64       // of an account in memory, beside its texts
	maxListedValue = 64 << 10 // bytes of an entry, and of any other value beside it
)

// decodeList reads a list of at most limit bytes: the wId of each account. It takes little
// more memory than what it returns. An entry whose wcId or wId is too long for an event
// is passed over.
func decodeList(r io.Reader, limit int64) (map[string]string, error) {
	all := &io.LimitedReader{R: r, N: limit}
	d := newListDecoder(all)
	list, code, err := readList(d)
	switch {
	case all.N <= 0:
		return nil, fmt.Errorf("%w: it is over %d bytes", errLargeList, limit)
	case errors.Is(err, errList) && d.value.N <= 0:
		return nil, errLongValue
	case err != nil:
		return nil, err
	case code != codeOK:
		return nil, fmt.Errorf("the gateway answered code %q", cut(code, maxCodeBytes))
	}
	return list, nil
}

var (
	errList      = errors.New("the list is not an object with a code and a list under data")
	errLargeList = errors.New("the list is too large")
	errLongValue = fmt.Errorf("%w: it has a value of over 64 KiB", errLargeList)
	errLongList  = fmt.Errorf("%w: its accounts do not fit into 16 MiB", errLargeList)
)

// listDecoder decodes a list whose long texts are shortened, value by value.
type listDecoder struct {
	*json.Decoder
	value io.LimitedReader // bounds what is read for the next value
}

func newListDecoder(r io.Reader) *listDecoder {
	d := &listDecoder{value: io.LimitedReader{R: &shortener{from: r}, N: maxListedValue}}
	d.Decoder = json.NewDecoder(&d.value)
	return d
}

// more tells whether another member comes, which may be as long as a value may.
func (d *listDecoder) more() bool {
	d.value.N = maxListedValue
	return d.More()
}

func readList(d *listDecoder) (list map[string]string, code string, err error) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, "", errList
	}
	for d.more() {
		key, err := d.Token()
		if err != nil {
			return nil, "", errList
		}
		switch key {
		case "code":
			var raw text
			if d.Decode(&raw) != nil {
				return nil, "", errList
			}
			code = plainNumber(string(raw))
		case "data":
			if list, err = readEntries(d); err != nil {
				return nil, "", err
			}
		default:
			if d.Decode(new(json.RawMessage)) != nil {
				return nil, "", errList
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, "", errList
	}
	return list, code, nil
}

// readEntries reads the list itself; null is an empty one.
func readEntries(d *listDecoder) (map[string]string, error) {
	list, size := map[string]string{}, 0
	switch t, err := d.Token(); {
	case err == nil && t == nil:
		return list, nil
	case err != nil || t != json.Delim('['):
		return nil, errList
	}
	for d.more() {
		var entry listed
		if err := d.Decode(&entry); err != nil {
			var wrongType *json.UnmarshalTypeError // not an object: none of ours
			if !errors.As(err, &wrongType) {
				return nil, errList
			}
		}
		if !entry.usable() {
			continue
		}
		if before, again := list[string(entry.WcID)]; again {
			size -= len(before)
		} else {
			size += len(entry.WcID) + listedOverhead
		}
		if size += len(entry.WID); size > maxListed {
			return nil, errLongList
		}
		list[string(entry.WcID)] = string(entry.WID)
	}
	if _, err := d.Token(); err != nil {
		return nil, errList
	}
	return list, nil
}

// listed is an account that is online.
type listed struct {
	WcID text `json:"wcId"`
	WID  text `json:"wId"`
}

func (e *listed) usable() bool {
	return e.WcID != "" && e.WID != "" && len(e.WcID) <= maxWcIDBytes && len(e.WID) <= maxWIDBytes
}
