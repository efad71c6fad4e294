package worker

import "fmt"

// Job reads the delivery's job and fills in what the message tells: the id, and the
// limits that hold for it. The error wraps [ErrInvalidJob]; the job is never nil.
func (d *Delivery) Job() (*Job, error) {
	j, err := DecodeJob(d.Data, d.ContentType)
	switch {
	case j.ID != "":
	case d.MsgID != "":
		j.ID = d.MsgID
		if idErr := checkName("id", j.ID, true); err == nil {
			err = idErr
		}
	default:
		j.ID = fmt.Sprintf("%s-%d", d.Stream, d.Sequence)
	}
	return j, err
}

// shorten leaves out of the event what makes it large, and tells whether there was
// anything to leave out.
func (e *Event) shorten() bool {
	if e.Login == nil || e.Login.Token == "" && e.Login.Data == "" {
		return false
	}
	login := *e.Login
	login.Token, login.Data = "", ""
	e.Login = &login
	e.Message = "login.token and login.data are left out: the event was too large for the server"
	return true
}
