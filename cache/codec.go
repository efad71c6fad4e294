package cache

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// parseAnswer reads what begin.lua returned: the time of a grant, or the fields of any
// other answer.
func parseAnswer(reply any) (worker.Answer, error) {
	if at, granted := reply.(int64); granted {
		return worker.Answer{State: worker.Granted, Now: time.UnixMilli(at)}, nil
	}
	var n [4]int64
	var s [8]string
	fields, _ := reply.([]any)
	if len(fields) != len(n)+len(s) {
		return worker.Answer{}, fmt.Errorf("read reply: want %d fields, got %T of length %d", len(n)+len(s), reply, len(fields))
	}
	for i, field := range fields {
		var ok bool
		if i < len(n) {
			n[i], ok = field.(int64)
		} else {
			s[i-len(n)], ok = field.(string)
		}
		if !ok {
			return worker.Answer{}, fmt.Errorf("read reply: field %d is a %T", i, field)
		}
	}
	a := worker.Answer{
		Now: time.UnixMilli(n[0]), Wait: time.Duration(n[1]) * time.Millisecond, Since: milliTime(n[2]), RetryAt: milliTime(n[3]),
		State: worker.State(s[0]), Token: s[1], Own: s[2] != "", By: s[3], Pod: s[4], Reason: s[6], ConcludedBefore: s[7] != "",
	}
	var err error
	if s[5] != "" {
		a.Result, err = decodeResult(s[5])
	}
	return a, err
}

// parseDone returns the result in a record of a job that has ended.
func parseDone(record string) (*job.Result, error) {
	parts := strings.SplitN(record, ":", 3)
	if len(parts) != 3 || parts[0] != "done" {
		return nil, fmt.Errorf("read reply: no record of an end: %.20q", record)
	}
	return decodeResult(parts[2])
}

func writeResult(to *bytes.Buffer, r *job.Result) error {
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(to)
	enc.UseCompactInts(true)
	if err := r.EncodeMsgpack(enc); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return nil
}

func decodeResult(data string) (*job.Result, error) {
	var r job.Result
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

// milliTime returns the zero time for 0.
func milliTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
