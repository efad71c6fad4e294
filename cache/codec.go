package cache

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/relogin/relogin/worker"
)

// parseAnswer reads what begin.lua returned: the time of a grant, or the fields of any
// other answer.
func parseAnswer(reply any) (worker.Answer, error) {
	if granted, ok := reply.(string); ok {
		return parseGrant(granted)
	}
	f, err := replyFields(reply, 11)
	if err != nil {
		return worker.Answer{}, err
	}
	var times [4]int64 // now, wait, since, retry
	for i, field := range []string{f[1], f[6], f[8], f[9]} {
		if times[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return worker.Answer{}, fmt.Errorf("read reply: %w", err)
		}
	}
	a := worker.Answer{
		State: worker.State(f[0]), Now: time.UnixMilli(times[0]),
		Token: f[2], Own: f[3] != "", By: f[4], Pod: f[5],
		Wait: time.Duration(times[1]) * time.Millisecond, Reason: f[10],
	}
	if times[2] != 0 {
		a.Since = time.UnixMilli(times[2])
	}
	if times[3] != 0 {
		a.RetryAt = time.UnixMilli(times[3])
	}
	if f[7] != "" {
		a.Result, err = decodeResult(f[7])
	}
	return a, err
}

// parseGrant reads seconds.microseconds, not padded.
func parseGrant(reply string) (worker.Answer, error) {
	seconds, micros, _ := strings.Cut(reply, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	us, errMicros := strconv.ParseInt(micros, 10, 64)
	if err = cmp.Or(err, errMicros); err != nil {
		return worker.Answer{}, fmt.Errorf("read reply: %w", err)
	}
	return worker.Answer{State: worker.Granted, Now: time.UnixMilli(s*1000 + us/1000)}, nil
}

// replyFields returns the n strings of which the reply consists.
func replyFields(reply any, n int) ([]string, error) {
	values, ok := reply.([]any)
	if !ok || len(values) != n {
		return nil, fmt.Errorf("read reply: want %d fields, got %T of length %d", n, reply, len(values))
	}
	fields := make([]string, n)
	for i, v := range values {
		if fields[i], ok = v.(string); !ok {
			return nil, fmt.Errorf("read reply: field %d is a %T", i, v)
		}
	}
	return fields, nil
}

// openRecord is the record of a job that was granted the token.
func openRecord(storedAt time.Time, token string) string {
	return "open:" + strconv.FormatInt(unixMilli(storedAt), 10) + ":" + token
}

// packLock is the lock that is granted to who asks: lock.lua reads it.
func packLock(a worker.Ask) string { return field(a.Token) + field(a.JobID) + field(a.Pod) }

func field(s string) string { return strconv.Itoa(len(s)) + ":" + s }

// doneRecord is the record of a job that has ended.
func doneRecord(storedAt time.Time, r worker.Result) ([]byte, error) {
	result, err := encodeResult(r)
	if err != nil {
		return nil, err
	}
	return append([]byte("done:"+strconv.FormatInt(unixMilli(storedAt), 10)+":"), result...), nil
}

// parseDone returns the result in a record of a job that has ended.
func parseDone(record string) (*worker.Result, error) {
	parts := strings.SplitN(record, ":", 3)
	if len(parts) != 3 || parts[0] != "done" {
		return nil, fmt.Errorf("read reply: no record of an end: %.20q", record)
	}
	return decodeResult(parts[2])
}

func encodeResult(r worker.Result) ([]byte, error) {
	data, err := msgpack.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return data, nil
}

func decodeResult(data string) (*worker.Result, error) {
	var r worker.Result
	if err := msgpack.NewDecoder(strings.NewReader(data)).Decode(&r); err != nil { // a pooled one would grow
		return nil, fmt.Errorf("decode result: %w", err)
	}
	return &r, nil
}

// millis rounds up: a key must not expire early.
func millis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// unixMilli returns 0 for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// deadline returns what begin.lua takes for no deadline, for the zero time.
func deadline(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func isNil(err error) bool { return errors.Is(err, redis.Nil) }
