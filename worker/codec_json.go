package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

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
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		err = fmt.Errorf("want %s, got a JSON %s", wrong.Type, wrong.Value)
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
		parsed, err := sane(parseTime(v))
		*t = jsonTime(parsed)
		return err
	case json.Number:
		ms, err := v.Int64()
		if err != nil {
			return fmt.Errorf("%s is not a whole number of milliseconds", v)
		}
		parsed, err := sane(time.UnixMilli(ms), nil)
		*t = jsonTime(parsed)
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
