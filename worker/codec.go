package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	if j.Type == 0 {
		j.Type = defaultType
	}
	if j.Tenant == "" {
		j.Tenant = defaultTenant
	}
	return j, err
}

// sane returns the time in UTC, and the zero time with an error for one that no job has.
func sane(t time.Time, err error) (time.Time, error) {
	if err == nil {
		err = checkTime(t)
	}
	if err != nil {
		return time.Time{}, err
	}
	return t.UTC(), nil // an offset of 24 hours can be read, and not be written again
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
