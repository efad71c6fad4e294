package job

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lane is one of the two ways into the queue.
type Lane string

// The lanes. Somebody waits at the phone for an urgent job; it is never stuck behind
// a backlog of normal ones.
const (
	Urgent Lane = "urgent"
	Normal Lane = "normal"
)

// Delivery is a stored job as the queue hands it over. The queue keeps it alive (no
// other pod gets it) until it is settled or the process dies.
type Delivery struct {
	Lane        Lane
	Data        []byte
	ContentType string
	MsgID       string              // the Nats-Msg-Id header
	Header      map[string][]string // as stored
	Traceparent string              // a valid W3C trace context, or empty
	Stream      string
	Sequence    uint64
	StoredAt    time.Time // by the queue's clock
	Attempts    int       // deliveries so far, this one included

	Settler
}

// Settler ends a delivery. Exactly one of its methods is called, once; none blocks for
// the server's answer. A settling that gets lost brings the job back, and is repeated then.
type Settler interface {
	// Ack removes the job from the queue: its event is stored.
	Ack()
	// Term removes the job from the queue: it is in the dead stream.
	Term()
	// HandBack returns the job to the queue, to be delivered again after delay.
	HandBack(delay time.Duration)
}

// Credential names a tenant's credential for a gateway, and tells nothing of it.
type Credential struct {
	Tenant      string `json:"tenant"`
	Fingerprint string `json:"fingerprint"` // changes when the gateway's address or the credential does
}

// Errors of a queue that no other try would change.
var (
	ErrUnsendable = errors.New("the event can't be sent")         // it can't be encoded, or is too large for the server
	ErrUnburiable = errors.New("the dead letter can't be stored") // the server refuses it in whatever form
)

// Job reads the delivery's job and fills in what the message tells: the id, and the
// limits that hold for it. The error wraps [ErrInvalidJob]; the job is never nil.
func (d *Delivery) Job() (*Job, error) {
	j, _, err := d.Read()
	return j, err
}

// Read is [Delivery.Job], and returns the name of the job's record in the store, too.
// That is its id; a stream that was made anew counts its messages from 1 again, so for an
// id that is a place in a stream the time belongs to the name.
func (d *Delivery) Read() (j *Job, record string, err error) {
	j, err = DecodeJob(d.Data, d.ContentType)
	switch {
	case j.ID != "":
	case d.MsgID != "":
		j.ID = d.MsgID
		if idErr := checkName("id", j.ID, true); err == nil {
			err = idErr
		}
	default:
		j.ID = fmt.Sprintf("%s-%d", d.Stream, d.Sequence)
		return j, j.ID + recordMark + strconv.FormatInt(d.StoredAt.UnixNano(), 36), err
	}
	return j, j.ID, err
}

// recordMark is between a job's id and what else belongs to the name of its record. It is
// in no id: control characters are not allowed there.
const recordMark = "\x00"

// IDOf returns the id of the job that has this record.
func IDOf(record string) string {
	id, _, _ := strings.Cut(record, recordMark)
	return id
}

// Shorten leaves out of the event what makes it large, what matters least first, and tells
// whether there was anything to leave out.
func (e *Event) Shorten() bool {
	var omitted string
	switch login := e.Login; {
	case login != nil && (login.Token != "" || login.Data != ""):
		e.Login = &Login{WcID: login.WcID, WID: login.WID, NickName: login.NickName, HeadURL: login.HeadURL, Status: login.Status}
		omitted = "login.token and login.data"
	case login != nil && (login.NickName != "" || login.HeadURL != ""):
		e.Login = &Login{WcID: login.WcID, WID: login.WID, Status: login.Status}
		omitted = "login.token, login.data, login.nickName and login.headUrl"
	case len(e.Labels) > 0:
		e.Labels = nil
		omitted = "the labels and parts of the login"
	default:
		return false
	}
	e.Message = omitted + " are left out: the event was too large for the server"
	return true
}
