package worker

import (
	"fmt"
	"strconv"
	"strings"
)

// Job reads the delivery's job and fills in what the message tells: the id, and the
// limits that hold for it. The error wraps [ErrInvalidJob]; the job is never nil.
func (d *Delivery) Job() (*Job, error) {
	j, _, err := d.read()
	return j, err
}

// read is [Delivery.Job], and returns the name of the job's record in the store, too.
// That is its id; a stream that was made anew counts its messages from 1 again, so for an
// id that is a place in a stream the time belongs to the name.
func (d *Delivery) read() (j *Job, record string, err error) {
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

// jobID returns the id of the job that has this record.
func jobID(record string) string {
	id, _, _ := strings.Cut(record, recordMark)
	return id
}

// shorten leaves out of the event what makes it large, what matters least first, and tells
// whether there was anything to leave out.
func (e *Event) shorten() bool {
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
