package job

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

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
// ignored. Times are Unix milliseconds, RFC 3339 strings or, in msgpack, timestamps; one
// outside of the years 2000 to 9999 is an error, whatever its form, since that is what
// seconds, microseconds and nanoseconds look like. Every error wraps [ErrInvalidJob]. The
// job that comes with an error has what could be read, at the least the zero value, so
// that its sender can be told.
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
	j.Type = cmp.Or(j.Type, defaultType)
	j.Tenant = cmp.Or(j.Tenant, defaultTenant)
	return j, err
}

// Encode returns the job's bytes; what is zero is left out. It does not check the job.
func (j *Job) Encode(as Encoding) ([]byte, error) { return encode(j, as) }

// decodeJSON reads key by key, so that one wrong value does not hide the others.
func (j *Job) decodeJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	var errs []error
	for key, value := range raw {
		var v any
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		_ = d.Decode(&v) // it was valid above, and any takes all that is
		errs = append(errs, keyError(key, set(j.field(key), v)))
	}
	return errors.Join(errs...)
}

func keyError(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrInvalidJob, key, err)
}

// field returns where the value of that key belongs, nil for a key that no job has.
func (j *Job) field(key string) any {
	switch key {
	case "id":
		return &j.ID
	case "wcId":
		return &j.WcID
	case "type":
		return &j.Type
	case "ttuid":
		return &j.TTUID
	case "aid":
		return &j.AID
	case "tenant":
		return &j.Tenant
	case "requestedAt":
		return &j.RequestedAt
	case "deadline":
		return &j.Deadline
	case "labels":
		return &j.Labels
	}
	return nil
}

// set takes over a value as either encoding has it. One that is null is left out.
func set(field, value any) (err error) {
	if value == nil {
		return nil
	}
	switch field := field.(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("want a string, got %s", kind(value))
		}
		*field = s
	case *int:
		*field, err = integer(value)
	case *time.Time:
		*field, err = moment(value)
	case *map[string]string:
		*field, err = labels(value)
	}
	return err
}

// kind says what a value is, in words that its sender knows in whichever language.
func kind(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case json.Number, int64, uint64, float64:
		return "a number"
	case bool:
		return "true or false"
	case time.Time:
		return "a timestamp"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "something else"
}

func integer(value any) (int, error) {
	switch n := value.(type) {
	case int64:
		return int(n), nil
	case uint64:
		return int(n), nil
	case json.Number:
		if n, err := strconv.Atoi(n.String()); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("want an integer, got %s", kind(value))
}

// moment reads a time in UTC: an offset of 24 hours can be read, and not be written again.
func moment(value any) (t time.Time, err error) {
	switch v := value.(type) {
	case time.Time:
		t = v
	case string:
		if t, err = time.Parse(time.RFC3339, v); err != nil {
			return t, fmt.Errorf("%q is not an RFC 3339 time", v)
		}
	case float64: // of msgpack, from a language without integers
		if math.IsNaN(v) || math.Abs(v) > 1<<53 {
			return t, errors.New("not a number of milliseconds")
		}
		t = time.UnixMilli(int64(v))
	default:
		ms, err := integer(value)
		if err != nil {
			return t, fmt.Errorf("want a timestamp, an RFC 3339 string or a whole number of Unix milliseconds, got %s", kind(value))
		}
		t = time.UnixMilli(int64(ms))
	}
	if err := checkTime(t); err != nil {
		return time.Time{}, err
	}
	return t.UTC(), nil
}

func labels(value any) (map[string]string, error) {
	pairs, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want a map of strings, got %s", kind(value))
	}
	if len(pairs) > maxLabels {
		return nil, fmt.Errorf("%d labels, at most %d are allowed", len(pairs), maxLabels)
	}
	labels := make(map[string]string, len(pairs))
	for k, v := range pairs {
		label := ""
		if err := set(&label, v); err != nil {
			return nil, err
		}
		labels[k] = label
	}
	return labels, nil
}
