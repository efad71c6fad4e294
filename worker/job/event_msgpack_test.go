package job

import (
	"bytes"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// taggedEvent is an event without its methods, so that its tags decide how it is written.
type (
	taggedLogin  Login
	taggedResult struct {
		Outcome    Outcome      `msgpack:"outcome"`
		Code       string       `msgpack:"code,omitempty"`
		Message    string       `msgpack:"message,omitempty"`
		Login      *taggedLogin `msgpack:"login,omitempty"`
		Prompted   bool         `msgpack:"prompted"`
		SharedWith string       `msgpack:"sharedWith,omitempty"`
		Reconciled bool         `msgpack:"reconciled,omitempty"`
		StartedAt  time.Time    `msgpack:"startedAt,omitempty"`
		FinishedAt time.Time    `msgpack:"finishedAt,omitempty"`
		RetryAfter time.Time    `msgpack:"retryAfter,omitempty"`
	}
	taggedEvent struct {
		ID     string            `msgpack:"id"`
		JobID  string            `msgpack:"jobId"`
		WcID   string            `msgpack:"wcId"`
		Tenant string            `msgpack:"tenant"`
		Labels map[string]string `msgpack:"labels,omitempty"`

		taggedResult `msgpack:",inline"`

		Attempts    int       `msgpack:"attempts"`
		Worker      string    `msgpack:"worker"`
		RequestedAt time.Time `msgpack:"requestedAt,omitempty"`
	}
)

func tagged(e *Event) taggedEvent {
	r := e.Result
	return taggedEvent{
		e.ID, e.JobID, e.WcID, e.Tenant, e.Labels,
		taggedResult{r.Outcome, r.Code, r.Message, (*taggedLogin)(r.Login), r.Prompted, r.SharedWith, r.Reconciled, r.StartedAt, r.FinishedAt, r.RetryAfter},
		e.Attempts, e.Worker, e.RequestedAt,
	}
}

// What is written without reflection is what the library makes of the tags, byte for byte.
func TestEventIsWrittenAsItsTagsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		got, err := e.Encode(EncodingMsgpack)
		if err != nil {
			t.Fatal(err)
		}
		want, err := encode(tagged(e), EncodingMsgpack)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%+v is written as\n%x, want\n%x", e, got, want)
		}
		result, err := msgpack.Marshal(e.Result)
		if err != nil {
			t.Fatal(err)
		}
		var again Result
		if err := msgpack.Unmarshal(result, &again); err != nil || again.Outcome != e.Outcome || !again.RetryAfter.Equal(e.RetryAfter) {
			t.Errorf("a result alone is read as %+v, %v", again, err)
		}
	})
}

func drawEvent(t *rapid.T) *Event {
	text := rapid.StringN(-1, 40, -1)
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(-1e15, 1e17).Draw(t, "µs")).UTC()
	})
	e := &Event{
		ID: text.Draw(t, "id"), JobID: text.Draw(t, "job"), WcID: text.Draw(t, "account"), Tenant: text.Draw(t, "tenant"),
		Attempts: rapid.Int().Draw(t, "attempts"), Worker: text.Draw(t, "worker"), RequestedAt: moment.Draw(t, "requested"),
		Result: Result{
			Outcome: rapid.SampledFrom(Outcomes()).Draw(t, "outcome"), Code: text.Draw(t, "code"), Message: text.Draw(t, "message"),
			Prompted: rapid.Bool().Draw(t, "prompted"), SharedWith: text.Draw(t, "shared"), Reconciled: rapid.Bool().Draw(t, "reconciled"),
			StartedAt: moment.Draw(t, "started"), FinishedAt: moment.Draw(t, "finished"), RetryAfter: moment.Draw(t, "retry"),
		},
	}
	if rapid.Bool().Draw(t, "label") { // one: the order of more is not fixed
		e.Labels = map[string]string{text.Draw(t, "key"): text.Draw(t, "value")}
	}
	if rapid.Bool().Draw(t, "login") {
		e.Login = &Login{
			WcID: text.Draw(t, "login account"), WID: text.Draw(t, "wId"), NickName: text.Draw(t, "nick"), HeadURL: text.Draw(t, "head"),
			Status: rapid.Int().Draw(t, "status"), Token: text.Draw(t, "token"), Data: text.Draw(t, "data"),
		}
	}
	return e
}
