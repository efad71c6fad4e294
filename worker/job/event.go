package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Outcome is how a job ended. Each job ends in exactly one.
type Outcome string

// The outcomes.
const (
	Succeeded    Outcome = "succeeded"    // the account is logged in
	Failed       Outcome = "failed"       // the person declined or ignored it, or the platform refused
	NeedsScan    Outcome = "needs_scan"   // only a QR scan helps
	Unauthorized Outcome = "unauthorized" // the credential was refused until the deadline passed
	Expired      Outcome = "expired"      // no prompt was made: the deadline passed or is too near
	Throttled    Outcome = "throttled"    // no prompt was made: cool-down or daily budget
	Unknown      Outcome = "unknown"      // a prompt may have been shown, its answer is not known
	Invalid      Outcome = "invalid"      // the job itself is wrong
	Cancelled    Outcome = "cancelled"    // no prompt was made: an operator or upstream cancelled it
)

// Outcomes returns every outcome, in the order of the contract.
func Outcomes() []Outcome {
	return []Outcome{Succeeded, Failed, NeedsScan, Unauthorized, Expired, Throttled, Unknown, Invalid, Cancelled}
}

// Login is what the gateway says of an account that is logged in. Token and Data are
// credentials: they belong into the event, and until that is stored into the job's record.
type Login struct {
	WcID     string `msgpack:"wcId" json:"wcId"`
	WID      string `msgpack:"wId" json:"wId"`
	NickName string `msgpack:"nickName,omitempty" json:"nickName,omitempty"`
	HeadURL  string `msgpack:"headUrl,omitempty" json:"headUrl,omitempty"`
	Status   int    `msgpack:"status,omitempty" json:"status,omitempty"`
	Token    string `msgpack:"token,omitempty" json:"token,omitempty"`
	Data     string `msgpack:"data,omitempty" json:"data,omitempty"`
}

// Result is what became of a job: the part of the event that Redis keeps until the
// event is stored.
type Result struct {
	Outcome    Outcome   `msgpack:"outcome" json:"outcome"`
	Code       string    `msgpack:"code,omitempty" json:"code,omitempty"`
	Message    string    `msgpack:"message,omitempty" json:"message,omitempty"`
	Login      *Login    `msgpack:"login,omitempty" json:"login,omitempty"`
	Prompted   bool      `msgpack:"prompted" json:"prompted"`
	SharedWith string    `msgpack:"sharedWith,omitempty" json:"sharedWith,omitempty"`
	Reconciled bool      `msgpack:"reconciled,omitempty" json:"reconciled,omitempty"`
	StartedAt  time.Time `msgpack:"startedAt,omitempty" json:"startedAt,omitzero"`
	FinishedAt time.Time `msgpack:"finishedAt,omitempty" json:"finishedAt,omitzero"`
	RetryAfter time.Time `msgpack:"retryAfter,omitempty" json:"retryAfter,omitzero"`
}

// Event tells the world what became of a job.
type Event struct {
	ID     string            `msgpack:"id" json:"id"` // the same however often it is sent
	JobID  string            `msgpack:"jobId" json:"jobId"`
	WcID   string            `msgpack:"wcId" json:"wcId"`
	Tenant string            `msgpack:"tenant" json:"tenant"`
	Labels map[string]string `msgpack:"labels,omitempty" json:"labels,omitempty"`

	Result `msgpack:",inline"`

	Attempts    int       `msgpack:"attempts" json:"attempts"` // deliveries so far
	Worker      string    `msgpack:"worker" json:"worker"`     // the pod
	RequestedAt time.Time `msgpack:"requestedAt,omitempty" json:"requestedAt,omitzero"`

	Traceparent string `msgpack:"-" json:"-"` // W3C trace context, carried in a header
}

// Encoding is how events, and jobs, are written.
type Encoding string

// The encodings. [EncodingMsgpack] is the default of both.
const (
	EncodingMsgpack Encoding = "msgpack"
	EncodingJSON    Encoding = "json"
)

// ContentType returns the media type of the encoding.
func (e Encoding) ContentType() string { return "application/" + string(e) }

// Encode returns the event's bytes.
func (e *Event) Encode(as Encoding) ([]byte, error) { return encode(e, as) }

// DecodeEvent reads an event in either encoding: JSON where contentType says so or
// the body starts with "{".
func DecodeEvent(data []byte, contentType string) (*Event, error) {
	var e Event
	var err error
	if isJSON(data, contentType) {
		err = json.Unmarshal(data, &e)
	} else {
		err = e.decodeMsgpack(data)
	}
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return &e, nil
}

// usualBytes is what an event with a login needs: replies that were captured have some 900.
const usualBytes = 1536

func encode(v any, as Encoding) ([]byte, error) {
	if as == EncodingJSON {
		return json.Marshal(v)
	}
	var b bytes.Buffer
	b.Grow(usualBytes)
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&b)
	enc.UseCompactInts(true)
	enc.SetSortMapKeys(true) // the same job has the same bytes
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
