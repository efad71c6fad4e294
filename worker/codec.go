package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth bounds how deeply the values of unknown keys may nest.
const maxDepth = 32

// isJSON tells the encoding as the contract does: the content type, or the first byte.
// A msgpack map never starts with "{" or white space: these are its integers.
func isJSON(data []byte, contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return true
	}
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
}

// DecodeJob reads a job in either encoding: JSON where contentType is
// application/json or the body starts with "{", msgpack otherwise. Unknown keys are
// ignored. Every error wraps [ErrInvalidJob]. The job that comes with an error has
// what could be read, at the least the zero value, so that its sender can be told.
//
// Defaults that depend on the message (id, requestedAt) are not filled in.
func DecodeJob(data []byte, contentType string) (*Job, error) {
	j := &Job{}
	var err error
	switch {
	case len(data) > MaxJobBytes:
		return j, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrInvalidJob, len(data), MaxJobBytes)
	case len(bytes.TrimSpace(data)) == 0:
		return j, fmt.Errorf("%w: the body is empty", ErrInvalidJob)
	case isJSON(data, contentType):
		err = j.decodeJSON(data)
	default:
		err = j.decodeMsgpack(data)
	}
	if err == nil {
		err = j.Check()
	} else if !errors.Is(err, ErrInvalidJob) {
		err = fmt.Errorf("%w: %w", ErrInvalidJob, err)
	}
	if j.Type == 0 {
		j.Type = defaultType
	}
	if j.Tenant == "" {
		j.Tenant = defaultTenant
	}
	return j, err
}

// Encode returns the job's bytes; what is zero is left out. It does not check the job.
func (j *Job) Encode(as Encoding) ([]byte, error) {
	m := map[string]any{"wcId": j.WcID}
	set := func(key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	set("id", j.ID)
	set("ttuid", j.TTUID)
	set("aid", j.AID)
	set("tenant", j.Tenant)
	if j.Type != 0 {
		m["type"] = j.Type
	}
	if !j.RequestedAt.IsZero() {
		m["requestedAt"] = j.RequestedAt
	}
	if !j.Deadline.IsZero() {
		m["deadline"] = j.Deadline
	}
	if len(j.Labels) > 0 {
		m["labels"] = j.Labels
	}
	if as == EncodingJSON {
		return json.Marshal(m)
	}
	return marshalMsgpack(m)
}

// decodeJSON reads key by key, so that one wrong value does not hide the others.
func (j *Job) decodeJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	var errs []error
	for key, value := range raw {
		if string(value) == "null" {
			continue
		}
		read := func(into any) { errs = append(errs, keyError(key, json.Unmarshal(value, into))) }
		switch key {
		case "id":
			read(&j.ID)
		case "wcId":
			read(&j.WcID)
		case "type":
			read(&j.Type)
		case "ttuid":
			read(&j.TTUID)
		case "aid":
			read(&j.AID)
		case "tenant":
			read(&j.Tenant)
		case "labels":
			read(&j.Labels)
		case "requestedAt":
			read((*jsonTime)(&j.RequestedAt))
		case "deadline":
			read((*jsonTime)(&j.Deadline))
		}
	}
	return errors.Join(errs...)
}

func keyError(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrInvalidJob, key, err)
}

// jsonTime is a time as an RFC 3339 string or as Unix milliseconds.
type jsonTime time.Time

func (t *jsonTime) UnmarshalJSON(data []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		parsed, err := parseTime(v)
		*t = jsonTime(parsed)
		return err
	case json.Number:
		ms, err := v.Int64()
		*t = jsonTime(time.UnixMilli(ms))
		return err
	}
	return fmt.Errorf("want an RFC 3339 string or Unix milliseconds, got %T", v)
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not an RFC 3339 time", s)
	}
	return t, nil
}

// decodeMsgpack reads a map with string keys. After a value of the wrong type it goes
// on with the next key; after malformed bytes it can't.
func (j *Job) decodeMsgpack(data []byte) error {
	r := bytes.NewReader(data)
	d := msgpack.NewDecoder(r)
	n, err := d.DecodeMapLen()
	if err != nil {
		return fmt.Errorf("not a msgpack map: %w", err)
	}
	if n < 0 {
		return errors.New("not a msgpack map: nil")
	}
	var errs []error
	for range n {
		key, err := d.DecodeString()
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("a key is not a string, or the body is cut off: %w", err))...)
		}
		value, err := rawValue(d, r, data)
		if err != nil {
			return errors.Join(append(errs, keyError(key, err))...)
		}
		errs = append(errs, keyError(key, j.setMsgpack(key, value)))
	}
	return errors.Join(errs...)
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

func (j *Job) setMsgpack(key string, value []byte) (err error) {
	if len(value) == 1 && value[0] == msgpcode.Nil {
		return nil
	}
	d := msgpack.NewDecoder(bytes.NewReader(value))
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

func msgpackTime(d *msgpack.Decoder) (time.Time, error) {
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
