package cache

import (
	"bytes"
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
	f, err := replyFields(reply, 12)
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
		Wait: time.Duration(times[1]) * time.Millisecond, Reason: f[10], ConcludedBefore: f[11] != "",
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

// parseGrant reads seconds.microseconds, not padded, and then " known" where another
// delivery has concluded the job.
func parseGrant(reply string) (worker.Answer, error) {
	at, known := strings.CutSuffix(reply, " known")
	seconds, micros, _ := strings.Cut(at, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	us, errMicros := strconv.ParseInt(micros, 10, 64)
	if err = cmp.Or(err, errMicros); err != nil {
		return worker.Answer{}, fmt.Errorf("read reply: %w", err)
	}
	return worker.Answer{State: worker.Granted, Now: time.UnixMilli(s*1000 + us/1000), ConcludedBefore: known}, nil
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

// writeLock writes the lock that is granted to who asks: lock.lua reads it.
func writeLock(to *bytes.Buffer, a worker.Ask) {
	writeField(to, a.Token)
	writeField(to, a.JobID)
	writeField(to, a.Pod)
}

func writeField(to *bytes.Buffer, s string) {
	writeInt(to, int64(len(s)))
	writeAll(to, ":", s)
}

// writeOpen writes the record of a job that was granted the token.
func writeOpen(to *bytes.Buffer, storedAt time.Time, token string) {
	to.WriteString("open:")
	writeInt(to, unixMilli(storedAt))
	writeAll(to, ":", token)
}

// writeDone writes the record of a job that has ended.
func writeDone(to *bytes.Buffer, storedAt time.Time, r *worker.Result) error {
	to.WriteString("done:")
	writeInt(to, unixMilli(storedAt))
	to.WriteString(":")
	return writeResult(to, r)
}

func writeResult(to *bytes.Buffer, r *worker.Result) error {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(to)
	enc.UseCompactInts(true)
	if err := r.EncodeMsgpack(enc); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return nil
}

func writeAll(to *bytes.Buffer, parts ...string) {
	for _, s := range parts {
		to.WriteString(s)
	}
}

func writeInt(to *bytes.Buffer, n int64) {
	to.Write(strconv.AppendInt(to.AvailableBuffer(), n, 10))
}

// parseDone returns the result in a record of a job that has ended.
func parseDone(record string) (*worker.Result, error) {
	parts := strings.SplitN(record, ":", 3)
	if len(parts) != 3 || parts[0] != "done" {
		return nil, fmt.Errorf("read reply: no record of an end: %.20q", record)
	}
	return decodeResult(parts[2])
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

func isNil(err error) bool { return errors.Is(err, redis.Nil) }
