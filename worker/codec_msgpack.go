package worker

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

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
	n, err := d.DecodeMapLen()
	if err != nil {
		return fmt.Errorf("neither a JSON object nor a msgpack map: it begins with %q", data[:1]) // more could be a secret that went astray
	}
	if n < 0 {
		return errors.New("neither a JSON object nor a msgpack map, but nil")
	}
	var errs []error
	values := bytes.NewReader(nil)
	each := msgpack.NewDecoder(values)
	for range n {
		key, err := d.DecodeString()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("a key is not a string, or the body is cut off: %w", err))...)
		}
		value, err := rawValue(d, r, data)
		if err != nil {
			return errors.Join(append(errs, keyError(key, err))...)
		}
		values.Reset(value)
		each.Reset(values)
		if err := j.setMsgpack(key, value, each); err != nil {
			errs = append(errs, keyError(key, err))
		}
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

// rawValue returns the bytes of the value that d reads next.
func rawValue(d *msgpack.Decoder, r *bytes.Reader, data []byte) ([]byte, error) {
	start := len(data) - r.Len()
	if err := skipValue(d, 0); err != nil {
		return nil, fmt.Errorf("malformed or cut off: %w", err)
	}
	return data[start : len(data)-r.Len()], nil
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

// setMsgpack sets what the key says; d is to read the value.
func (j *Job) setMsgpack(key string, value []byte, d *msgpack.Decoder) (err error) {
	if len(value) == 1 && value[0] == msgpcode.Nil {
		return nil
	}
	switch key {
	case "id":
		j.ID, err = msgpackString(d)
	case "wcId":
		j.WcID, err = msgpackString(d)
	case "ttuid":
		j.TTUID, err = msgpackString(d)
	case "aid":
		j.AID, err = msgpackString(d)
	case "tenant":
		j.Tenant, err = msgpackString(d)
	case "type":
		j.Type, err = msgpackInt(d)
	case "requestedAt":
		j.RequestedAt, err = msgpackTime(d)
	case "deadline":
		j.Deadline, err = msgpackTime(d)
	case "labels":
		j.Labels, err = msgpackLabels(d)
	}
	return err
}

func msgpackString(d *msgpack.Decoder) (string, error) {
	c, err := d.PeekCode()
	if err != nil {
		return "", err
	}
	if !msgpcode.IsString(c) && !msgpcode.IsBin(c) {
		return "", fmt.Errorf("want a string, got msgpack code 0x%02x", c)
	}
	return d.DecodeString()
}

func msgpackInt(d *msgpack.Decoder) (int, error) {
	c, err := d.PeekCode()
	if err != nil {
		return 0, err
	}
	if !isMsgpackInt(c) {
		return 0, fmt.Errorf("want an integer, got msgpack code 0x%02x", c)
	}
	n, err := d.DecodeInt64()
	return int(n), err
}

func isMsgpackInt(c byte) bool {
	return msgpcode.IsFixedNum(c) || c >= msgpcode.Uint8 && c <= msgpcode.Int64
}

func msgpackTime(d *msgpack.Decoder) (time.Time, error) { return sane(rawMsgpackTime(d)) }

func rawMsgpackTime(d *msgpack.Decoder) (time.Time, error) {
	c, err := d.PeekCode()
	switch {
	case err != nil:
		return time.Time{}, err
	case msgpcode.IsString(c):
		s, err := d.DecodeString()
		if err != nil {
			return time.Time{}, err
		}
		return parseTime(s)
	case c == msgpcode.Double || c == msgpcode.Float:
		return msgpackFloatTime(d)
	case isMsgpackInt(c):
		ms, err := d.DecodeInt64()
		return time.UnixMilli(ms), err
	case msgpcode.IsExt(c):
		return d.DecodeTime()
	}
	return time.Time{}, fmt.Errorf("want a timestamp, an RFC 3339 string or Unix milliseconds, got msgpack code 0x%02x", c)
}

// msgpackFloatTime reads whole milliseconds that a language without integers wrote.
func msgpackFloatTime(d *msgpack.Decoder) (time.Time, error) {
	ms, err := d.DecodeFloat64()
	if err == nil && (math.IsNaN(ms) || math.Abs(ms) > 1<<53) {
		err = errors.New("not a number of milliseconds")
	}
	return time.UnixMilli(int64(ms)), err
}

func msgpackLabels(d *msgpack.Decoder) (map[string]string, error) {
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	if n > maxLabels {
		return nil, fmt.Errorf("%d labels, at most %d are allowed", n, maxLabels)
	}
	labels := make(map[string]string, max(n, 0))
	for range n {
		k, err := msgpackString(d)
		if err != nil {
			return nil, err
		}
		if labels[k], err = msgpackString(d); err != nil {
			return nil, err
		}
	}
	return labels, nil
}
