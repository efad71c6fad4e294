package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth bounds how deeply the values of unknown keys may nest.
const maxDepth = 32

// decodeMsgpack reads a map with string keys. After a value of the wrong type it goes
// on with the next key; after malformed bytes it can't.
func (j *Job) decodeMsgpack(data []byte) error {
	r := bytes.NewReader(data)
	d := msgpack.NewDecoder(r)
	d.UseLooseInterfaceDecoding(true) // bytes are strings, and numbers have the widest type of their kind
	n, err := d.DecodeMapLen()
	if err != nil {
		return fmt.Errorf("neither a JSON object nor a msgpack map: it begins with %q", data[:1]) // more could be a secret that went astray
	}
	if n < 0 {
		return errors.New("neither a JSON object nor a msgpack map, but nil")
	}
	var errs []error
	for range n {
		key, err := d.DecodeString()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("a key is not a string, or the body is cut off: %w", err))...)
		}
		start := r.Size() - int64(r.Len())
		if err := skipValue(d, 0); err != nil {
			return errors.Join(append(errs, keyError(key, fmt.Errorf("malformed or cut off: %w", err)))...)
		}
		end := r.Size() - int64(r.Len())
		field := j.field(key)
		if field == nil {
			continue
		}
		_, _ = r.Seek(start, io.SeekStart)
		value, err := d.DecodeInterfaceLoose()
		if err == nil {
			err = set(field, value)
		}
		if err != nil {
			errs = append(errs, keyError(key, err))
		}
		_, _ = r.Seek(end, io.SeekStart) // a value that can't be read may have been left in its middle
	}
	return errors.Join(errs...)
}

// decodeMsgpack reads an event that anybody may have stored. The library panics where a
// time is nil, reserves memory for what a length promises, and a decoder of its pool
// keeps that: so the bytes are looked through first, and read by a decoder of their own.
func (e *Event) decodeMsgpack(data []byte) (err error) {
	if err := skipValue(msgpack.NewDecoder(bytes.NewReader(data)), 0); err != nil {
		return fmt.Errorf("malformed or cut off: %w", err)
	}
	defer func() {
		if defect := recover(); defect != nil {
			err = fmt.Errorf("a value of the wrong type: %v", defect)
		}
	}()
	return msgpack.NewDecoder(bytes.NewReader(data)).Decode(e)
}

// skipValue is msgpack's Skip with a bound on depth.
func skipValue(d *msgpack.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested more than %d deep", maxDepth)
	}
	c, err := d.PeekCode()
	if err != nil {
		return err
	}
	n := 0
	switch {
	case msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32:
		n, err = d.DecodeMapLen()
		n *= 2
	case msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32:
		n, err = d.DecodeArrayLen()
	default:
		return d.Skip()
	}
	for i := 0; i < n && err == nil; i++ {
		err = skipValue(d, depth+1)
	}
	return err
}
