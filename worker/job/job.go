package job

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of a job, as the contract states them.
const (
	MaxJobBytes   = 64 << 10 // the encoded job
	MaxNameBytes  = 128      // wcId, id, tenant, ttuid and aid
	maxLabels     = 16
	maxLabelKey   = 64
	maxLabelValue = 256
	minYear       = 2000
	maxYear       = 9999 // RFC 3339 ends there
	defaultTenant = "default"
	defaultType   = 2
)

// ErrInvalidJob is returned for a job that breaks the rules of the contract: the
// error's text says which one. Such a job is dead-lettered; trying again is pointless.
var ErrInvalidJob = errors.New("invalid job")

// Job asks for one confirmation of one account. Read it with [DecodeJob], write it
// with [Job.Encode].
type Job struct {
	ID          string            `msgpack:"id,omitempty" json:"id,omitempty"`                  // identity within the account; 1–128 bytes
	WcID        string            `msgpack:"wcId" json:"wcId"`                                  // the account; 1–128 bytes
	Type        int               `msgpack:"type,omitempty" json:"type,omitempty"`              // passed to the gateway; 2 unless set
	TTUID       string            `msgpack:"ttuid,omitempty" json:"ttuid,omitempty"`            // passed to the gateway when set
	AID         string            `msgpack:"aid,omitempty" json:"aid,omitempty"`                // passed to the gateway when set
	Tenant      string            `msgpack:"tenant,omitempty" json:"tenant,omitempty"`          // whose credential to use; "default" unless set
	RequestedAt time.Time         `msgpack:"requestedAt,omitempty" json:"requestedAt,omitzero"` // when upstream asked, from 2000 to 9999; the time the job was stored unless set
	Deadline    time.Time         `msgpack:"deadline,omitempty" json:"deadline,omitzero"`       // from 2000 to 9999; zero: none
	Labels      map[string]string `msgpack:"labels,omitempty" json:"labels,omitempty"`          // echoed in the event
}

// Check returns nil, or an error wrapping [ErrInvalidJob] that names every rule
// that the job breaks.
func (j *Job) Check() error {
	return errors.Join(
		checkName("wcId", j.WcID, true),
		checkName("id", j.ID, false),
		checkName("tenant", j.Tenant, false),
		checkName("ttuid", j.TTUID, false),
		checkName("aid", j.AID, false),
		checkMoment("requestedAt", j.RequestedAt),
		checkMoment("deadline", j.Deadline),
		checkLabels(j.Labels),
	)
}

func checkName(key, s string, required bool) error {
	switch {
	case s == "" && required:
		return fmt.Errorf("%w: %s is missing or empty", ErrInvalidJob, key)
	case len(s) > MaxNameBytes:
		return fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrInvalidJob, key, len(s), MaxNameBytes)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s is not valid UTF-8", ErrInvalidJob, key)
	}
	for i, r := range s {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %s has the control character %U at byte %d", ErrInvalidJob, key, r, i)
		}
	}
	return nil
}

// checkMoment allows the zero time, which is one that was left out.
func checkMoment(key string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return keyError(key, checkTime(t))
}

// checkTime refuses what nobody means, and a number of another unit than milliseconds
// would say: seconds are in 1970, microseconds past the year 9999.
func checkTime(t time.Time) error {
	if year := t.UTC().Year(); year < minYear || year > maxYear {
		return fmt.Errorf("it is in the year %d, and %d to %d are allowed: Unix times are in milliseconds, and a time that does not matter is left out", year, minYear, maxYear)
	}
	return nil
}

func checkLabels(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%w: %d labels, at most %d are allowed", ErrInvalidJob, len(labels), maxLabels)
	}
	for k, v := range labels {
		switch {
		case len(k) > maxLabelKey:
			return fmt.Errorf("%w: a label's key has %d bytes, at most %d are allowed", ErrInvalidJob, len(k), maxLabelKey)
		case len(v) > maxLabelValue:
			return fmt.Errorf("%w: the label %q has %d bytes, at most %d are allowed", ErrInvalidJob, k, len(v), maxLabelValue)
		case !utf8.ValidString(k) || !utf8.ValidString(v):
			return fmt.Errorf("%w: the label %q is not valid UTF-8", ErrInvalidJob, k)
		}
	}
	return nil
}

// EventID returns the id of the job's one event. It depends on the account and the
// job's id alone, so that it is the same however often, and from whichever pod, the
// event is sent; two accounts' jobs of the same id have different events.
func (j *Job) EventID() string {
	name := append(append(append(strconv.AppendInt(nil, int64(len(j.WcID)), 10), ':'), j.WcID...), j.ID...)
	return uuid.NewSHA1(uuid.NameSpaceOID, name).String()
}

// InvalidEventID returns the id of the event that says that the job is invalid as it stands
// in this body. A job that is mended keeps its own id, and its event has that of [Job.EventID].
func (j *Job) InvalidEventID(body []byte) string {
	return (&Job{WcID: j.WcID, ID: j.ID + recordMark + Digest(body)}).EventID()
}

// Digest names the content of a job's message.
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// AccountToken returns wcID as it stands in subjects and Redis keys: as it is when it
// consists of A-Z a-z 0-9 _ - alone, else "~" and its base64url without padding.
// Different accounts have different tokens.
func AccountToken(wcID string) string {
	const direct = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	if wcID != "" && strings.Trim(wcID, direct) == "" {
		return wcID
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(wcID))
}
