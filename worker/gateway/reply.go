package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

const (
	codeOK       = "1000"
	scanText     = "重新扫码" // in a reply's text: only a QR scan helps
	maxEnvelopes = 5      // within each other
)

// parse reads the gateway's reply to a second login, in which long texts are shortened;
// the redactor hides what must not be in the code and the message. Replies differ between
// the gateway's versions; what is understood:
//
//   - code is a string or a number; the text is message or msg; unknown keys, a byte
//     order mark and white space around are ignored
//   - data is a login, or null, or absent, or an envelope with a code of its own, up
//     to five levels of them
//   - the first code that is not 1000, from outside in, decides: [job.Failed]
//   - [job.Succeeded] takes 1000 at every level and a login with a wId
//   - whatever is not a success and has the text for "scan again" at some level is
//     [job.NeedsScan]
//
// Code and Message are those of the innermost level that has a code. The wcId of the login
// is the replied one, empty when there is none. A text that is over its limit in [members]
// is left out of the login, never cut, and a sentence at the end of Message says so. A
// login is of no use without its wId: a success whose wId is too long is an error. So a
// Reply has 21 KiB at the most.
//
// A nil error comes with one of those three outcomes. Any other reply is an error that
// wraps [ErrAmbiguous] and repeats nothing of the reply.
func parse(body []byte, redactor *strings.Replacer) (worker.Reply, error) {
	var reply worker.Reply
	var login envelope
	scan := false
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	level := gjson.ParseBytes(body)
	if level.IsObject() && !json.Valid(body) {
		return worker.Reply{}, fmt.Errorf("%w: the reply is not valid JSON", ErrAmbiguous)
	}
	for depth := 0; level.IsObject(); depth++ {
		if depth > maxEnvelopes {
			return worker.Reply{}, fmt.Errorf("%w: the reply nests too many envelopes", ErrAmbiguous)
		}
		e := readEnvelope(level)
		code, err := e.code()
		if err != nil {
			return worker.Reply{}, err
		}
		said, wantsScan := e.said()
		scan = scan || wantsScan
		if code != "" {
			reply.Code, reply.Message = cut(redactor.Replace(code), maxCodeBytes), strings.Clone(cut(redactor.Replace(said), maxMessageBytes))
		}
		if reply.Code != codeOK {
			break
		}
		if depth > 0 && readText(e[keyWID]) != "" {
			login = e
		}
		level = e[keyData]
	}
	return conclude(reply, &login, scan)
}

// conclude gives the reply its outcome. Its code is the one that decides; login is the
// level that has the wId, if one has it.
func conclude(reply worker.Reply, login *envelope, scan bool) (worker.Reply, error) {
	switch {
	case reply.Code == "":
		return worker.Reply{}, fmt.Errorf("%w: the reply is not a JSON object with a code", ErrAmbiguous)
	case reply.Code == codeOK && readText(login[keyWID]) != "":
		return succeed(reply, login)
	case scan:
		reply.Outcome = job.NeedsScan
	case reply.Code == codeOK:
		return worker.Reply{}, fmt.Errorf("%w: the reply says success and has no login", ErrAmbiguous)
	default:
		reply.Outcome = job.Failed
	}
	return reply, nil
}

// succeed adds the login to the reply, and to its message what is left out.
func succeed(reply worker.Reply, e *envelope) (worker.Reply, error) {
	login, left := e.login()
	if login.WID == "" {
		return worker.Reply{}, fmt.Errorf("%w: the reply says success and its wId is over %d bytes", ErrAmbiguous, members[keyWID].limit)
	}
	if left != "" && reply.Message != "" {
		left = "; " + left
	}
	reply.Outcome, reply.Login = job.Succeeded, login
	reply.Message = cut(reply.Message, maxMessageBytes-len(left)) + left
	return reply, nil
}
