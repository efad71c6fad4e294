package cache

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/relogin/relogin/worker/job"
)

func encodeResult(r job.Result) ([]byte, error) {
	var b bytes.Buffer
	err := writeResult(&b, &r)
	return b.Bytes(), err
}

// FuzzStoredResult: what was read from Redis, stored again, is the same.
func FuzzStoredResult(f *testing.F) {
	full, err := encodeResult(job.Result{
		Outcome: job.Succeeded, Code: "1000", Message: "ok", Prompted: true, SharedWith: "j0", Reconciled: true,
		Login:     &job.Login{WcID: "a", WID: "w", NickName: "n", HeadURL: "h", Status: 2, Token: "t", Data: "d"},
		StartedAt: time.Unix(1, 2), FinishedAt: time.Unix(3, 4), RetryAfter: time.Unix(1<<34, 5),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	f.Fuzz(func(t *testing.T, stored string) {
		r, err := decodeResult(stored)
		if err != nil {
			if r != nil {
				t.Errorf("a result beside the error %v", err)
			}
			return
		}
		data, err := encodeResult(*r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeResult(string(data))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-read +read again:\n%s", diff)
		}
	})
}

// FuzzAnswer builds the script's reply field by field.
func FuzzAnswer(f *testing.F) {
	f.Add("held", int64(1), "tok", true, "j", "p", int64(2), "ok", int64(3), int64(4), "why")
	f.Fuzz(func(t *testing.T, state string, now int64, token string, own bool, by, pod string, wait int64, message string, since, retry int64, reason string) {
		if max(wait, -wait) > math.MaxInt64/int64(time.Millisecond) || wait == math.MinInt64 {
			return
		}
		result, err := encodeResult(job.Result{Outcome: job.Failed, Message: message})
		if err != nil {
			t.Fatal(err)
		}
		flag := func(is bool) string { return map[bool]string{true: "1"}[is] }
		fields := []any{now, wait, since, retry, state, token, flag(own), by, pod, string(result), reason, flag(wait > 0)}
		a, err := parseAnswer(fields)
		if err != nil {
			t.Fatal(err)
		}
		if string(a.State) != state || a.Now.UnixMilli() != now || a.Token != token || a.Own != own || a.ConcludedBefore != (wait > 0) || a.By != by || a.Pod != pod ||
			a.Wait.Milliseconds() != wait || a.Result.Message != message || a.Reason != reason ||
			unixMilli(a.Since) != since || unixMilli(a.RetryAt) != retry {
			t.Errorf("%q: got %+v", fields, a)
		}
		for i := range fields {
			if _, err := parseAnswer(fields[:i]); err == nil {
				t.Errorf("%d fields were read", i)
			}
		}
		fields[1] = "1"
		if _, err := parseAnswer(fields); err == nil {
			t.Error("a time that is none was read")
		}
	})
}

// TestNotAReply has what no script returns.
func TestNotAReply(t *testing.T) {
	if result, err := finished(int64(1), job.Result{}); err == nil {
		t.Errorf("Finish took a number for %+v", result)
	}
	for _, reply := range []any{nil, "", "stored?", "open:1:x", "done:1", []any{"done"}} {
		if result, err := finished(reply, job.Result{}); err == nil {
			t.Errorf("Finish took %v for %+v", reply, result)
		}
		if answer, err := parseAnswer(reply); err == nil {
			t.Errorf("Begin took %v for %+v", reply, answer)
		}
	}
}
