package job

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// rewrites encodes the event and returns what is read back, nil where it can't be
// written as that.
func rewrites(t *testing.T, e *Event, as Encoding) *Event {
	t.Helper()
	data, err := e.Encode(as)
	if err != nil {
		return nil
	}
	again, err := DecodeEvent(data, as.ContentType())
	if err != nil {
		t.Fatalf("%s: what was written can't be read: %v", as, err)
	}
	if bytes.Contains(data, []byte(`\ufffd`)) {
		return nil // text that was not UTF-8
	}
	return again
}

func FuzzDecodeEvent(f *testing.F) {
	e := &Event{
		ID: "e", JobID: "j", WcID: "a", Tenant: "default", Labels: map[string]string{"k": "v"}, Attempts: 2, Worker: "pod", RequestedAt: noon,
		Result: Result{Outcome: Succeeded, Code: "1000", Login: &Login{WcID: "a", WID: "w", Status: 2, Token: "t", Data: "d"},
			Prompted: true, SharedWith: "j0", Reconciled: true, StartedAt: noon, FinishedAt: noon.Add(time.Second), RetryAfter: noon},
	}
	for _, as := range []Encoding{EncodingMsgpack, EncodingJSON} {
		data, err := e.Encode(as)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, as == EncodingJSON)
	}
	f.Fuzz(func(t *testing.T, data []byte, asJSON bool) {
		as := EncodingMsgpack
		if asJSON {
			as = EncodingJSON
		}
		e, err := DecodeEvent(data, as.ContentType())
		if err != nil {
			if e != nil {
				t.Errorf("an event beside the error %v", err)
			}
			return
		}
		same := rewrites(t, e, EncodingMsgpack)
		if same == nil {
			t.Fatal("what was read can't be written as msgpack")
		}
		for _, again := range []*Event{same, rewrites(t, e, EncodingJSON)} {
			if again == nil {
				continue
			}
			if diff := cmp.Diff(e, again, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-read +read again:\n%s", diff)
			}
		}
	})
}

// FuzzEventFields: what a consumer reads is what was sent, in either encoding.
func FuzzEventFields(f *testing.F) {
	f.Add("wxid_a", "j1", "succeeded", "1000", "ok", "w1", "token", 2, noon.UnixNano(), true)
	f.Add("", "\u2028", "<&>", "\x00", "微信", "", "", -1, int64(-1), false)
	f.Fuzz(func(t *testing.T, wcID, jobID, outcome, code, message, wID, token string, status int, at int64, prompted bool) {
		e := &Event{
			ID: (&Job{WcID: wcID, ID: jobID}).EventID(), JobID: jobID, WcID: wcID, Tenant: "default", Attempts: status,
			Result: Result{
				Outcome: Outcome(outcome), Code: code, Message: message, Prompted: prompted, FinishedAt: time.Unix(0, at),
				Login: &Login{WcID: wcID, WID: wID, Token: token, Status: status},
			},
			Labels: map[string]string{code: message},
		}
		for _, as := range []Encoding{EncodingMsgpack, EncodingJSON} {
			if again := rewrites(t, e, as); again != nil {
				if diff := cmp.Diff(e, again); diff != "" {
					t.Errorf("%s: -sent +read:\n%s", as, diff)
				}
			} else if as == EncodingMsgpack {
				t.Error("it can't be written as msgpack")
			}
		}
	})
}
