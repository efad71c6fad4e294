package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/relogin/relogin/worker"
)

const (
	codeOK   = "1000"
	scanText = "重新扫码" // in a reply's text: only a QR scan helps

	maxMessageBytes = 1 << 10
	maxCodeBytes    = 64
	maxEnvelopes    = 5 // within each other
)

// envelope is one level of a reply. The value under data may be a login, another
// envelope, or both in one.
type envelope struct {
	Code json.RawMessage
	Data json.RawMessage

	Message, Msg                 text
	WcID, WID, NickName, HeadURL text
	Status, Token                text
}

// ParseReply reads the gateway's reply to a second login. Replies differ between the
// gateway's versions; what is understood:
//
//   - code is a string or a number; the text is message or msg; unknown keys, a byte
//     order mark and white space around are ignored
//   - data is a login, or null, or absent, or an envelope with a code of its own, up
//     to five levels of them
//   - the first code that is not 1000, from outside in, decides: [worker.Failed]
//   - [worker.Succeeded] takes 1000 at every level and a login with a wId
//   - whatever is not a success and has the text for "scan again" at some level is
//     [worker.NeedsScan]
//
// Code and Message are those of the innermost level that has a code, Message cut to
// 1 KiB. The wcId of the login is the replied one, empty when there is none.
//
// A nil error comes with one of those three outcomes. Any other reply, and one over
// 1 MiB, is an error that wraps [ErrAmbiguous] and repeats nothing of the reply.
func ParseReply(body []byte) (worker.Reply, error) {
	if len(body) > maxReplyBytes {
		return worker.Reply{}, fmt.Errorf("%w: the reply is over %d bytes", ErrAmbiguous, maxReplyBytes)
	}
	var reply worker.Reply
	var login *envelope
	scan := false
	raw := bytes.TrimPrefix(body, []byte("\ufeff"))
	level, ok := asObject(raw)
	if ok && !json.Valid(raw) {
		return worker.Reply{}, fmt.Errorf("%w: the reply is not valid JSON", ErrAmbiguous)
	}
	for depth := 0; ok; depth++ {
		if depth > maxEnvelopes {
			return worker.Reply{}, fmt.Errorf("%w: the reply nests too many envelopes", ErrAmbiguous)
		}
		e, code, err := readEnvelope(level)
		if err != nil {
			return worker.Reply{}, err
		}
		scan = scan || e.wantsScan()
		if code != "" {
			reply.Code, reply.Message = cut(code, maxCodeBytes), cut(e.said(), maxMessageBytes)
		}
		if reply.Code != codeOK {
			break
		}
		if depth > 0 && e.WID != "" {
			login = e
		}
		level, ok = asObject(e.Data)
	}
	return conclude(reply, login, scan)
}

// conclude gives the reply its outcome. Its code is the one that decides.
func conclude(reply worker.Reply, login *envelope, scan bool) (worker.Reply, error) {
	switch {
	case reply.Code == "":
		return worker.Reply{}, fmt.Errorf("%w: the reply is not a JSON object with a code", ErrAmbiguous)
	case reply.Code == codeOK && login != nil:
		reply.Outcome, reply.Login = worker.Succeeded, login.login()
	case scan:
		reply.Outcome = worker.NeedsScan
	case reply.Code == codeOK:
		return worker.Reply{}, fmt.Errorf("%w: the reply says success and has no login", ErrAmbiguous)
	default:
		reply.Outcome = worker.Failed
	}
	return reply, nil
}

// readEnvelope returns a level and its code, 1000.0 and " 1000" being 1000; the code is
// empty when the level has none. Of keys that are there twice the last one counts, and
// case does not, as in encoding/json.
func readEnvelope(level object) (*envelope, string, error) {
	var e envelope
	level.each(func(key, value []byte) {
		if into := e.text(key); into != nil {
			*into = readText(value)
		} else if into := e.raw(key); into != nil {
			*into = value
		}
	})
	if len(e.Code) == 0 || string(e.Code) == "null" {
		return &e, "", nil
	}
	if !isText(e.Code) {
		return nil, "", fmt.Errorf("%w: the reply's code is neither a string nor a number", ErrAmbiguous)
	}
	return &e, plainNumber(strings.TrimSpace(string(readText(e.Code)))), nil
}

// text returns where the key's text belongs, nil for a key that is none.
func (e *envelope) text(key []byte) *text {
	switch {
	case isKey(key, "message"):
		return &e.Message
	case isKey(key, "msg"):
		return &e.Msg
	case isKey(key, "wcId"):
		return &e.WcID
	case isKey(key, "wId"):
		return &e.WID
	case isKey(key, "nickName"):
		return &e.NickName
	case isKey(key, "headUrl"):
		return &e.HeadURL
	case isKey(key, "status"):
		return &e.Status
	case isKey(key, "token"):
		return &e.Token
	}
	return nil
}

// raw returns where the key's value belongs that may be of several types, nil for others.
func (e *envelope) raw(key []byte) *json.RawMessage {
	switch {
	case isKey(key, "code"):
		return &e.Code
	case isKey(key, "data"):
		return &e.Data
	}
	return nil
}

func isKey(key []byte, name string) bool {
	return string(key) == name || strings.EqualFold(string(key), name)
}

// said returns the level's message.
func (e *envelope) said() string {
	if e.Message != "" {
		return string(e.Message)
	}
	return string(e.Msg)
}

func (e *envelope) wantsScan() bool {
	return strings.Contains(string(e.Message), scanText) || strings.Contains(string(e.Msg), scanText)
}

func (e *envelope) login() *worker.Login {
	status, _ := strconv.Atoi(plainNumber(strings.TrimSpace(string(e.Status))))
	return &worker.Login{
		WcID:     string(e.WcID),
		WID:      string(e.WID),
		NickName: string(e.NickName),
		HeadURL:  string(e.HeadURL),
		Status:   status,
		Token:    string(e.Token),
		Data:     string(readText(e.Data)),
	}
}

// text is a JSON string, or a number as it is written; any other value reads as "".
// It is valid UTF-8.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	*t = readText(raw)
	return nil
}

func isText(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

func readText(raw []byte) text {
	if !isText(raw) {
		return ""
	}
	if raw[0] != '"' {
		return text(raw)
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return text(inner) // as encoding/json reads it
	}
	var s string
	_ = json.Unmarshal(raw, &s) // raw is a part of valid JSON
	return text(s)
}

// plainNumber writes whole numbers in one way: 1000.0 and 1e3 become 1000. Anything
// else is returned as it is.
func plainNumber(s string) string {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return s
	}
	return strconv.FormatInt(int64(f), 10)
}
