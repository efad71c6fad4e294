package cache

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/relogin/relogin/worker"
)

// parseAnswer reads what begin.lua returned.
func parseAnswer(reply any) (worker.Answer, error) {
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
