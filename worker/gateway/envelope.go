package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/relogin/relogin/worker"
)

// Bounds of what a reply brings into an event, in bytes. Real replies have a wId of 36, a
// headUrl of 150, a token of 24 and data of 700; a job's wcId has 128 at the most.
const (
	maxCodeBytes     = 64
	maxMessageBytes  = 1 << 10
	maxWcIDBytes     = 128
	maxWIDBytes      = 256
	maxNickNameBytes = 1 << 10
	maxHeadURLBytes  = 2 << 10
	maxTextBytes     = 8 << 10 // of token and data, and of any text that is read whole
)

// envelope is one level of a reply, its values as they are written. The one under data may
// be a login, another envelope, or both in one.
type envelope struct {
	Code, Data, Message, Msg                    json.RawMessage
	WcID, WID, NickName, HeadURL, Status, Token json.RawMessage
}

// readEnvelope returns a level and its code, 1000.0 and " 1000" being 1000; the code is
// empty when the level has none. Of keys that are there twice the last one counts, and
// case does not, as in encoding/json.
func readEnvelope(level object) (e envelope, code string, err error) {
	level.each(func(key, value []byte) {
		if into := e.field(key); into != nil {
			*into = value
		}
	})
	switch {
	case len(e.Code) == 0 || string(e.Code) == "null":
		return e, "", nil
	case !isText(e.Code):
		return e, "", fmt.Errorf("%w: the reply's code is neither a string nor a number", ErrAmbiguous)
	case isLong(e.Code):
		return e, "", fmt.Errorf("%w: the reply's code is over %d bytes", ErrAmbiguous, maxTextBytes)
	}
	return e, plainNumber(strings.TrimSpace(string(readText(e.Code)))), nil
}

// field returns where the key's value belongs, nil for a key that is none.
func (e *envelope) field(key []byte) *json.RawMessage {
	switch {
	case isKey(key, "code"):
		return &e.Code
	case isKey(key, "data"):
		return &e.Data
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

func isKey(key []byte, name string) bool {
	return string(key) == name || strings.EqualFold(string(key), name)
}

// said returns the level's message, and whether it or the other one speaks of a scan.
func (e *envelope) said() (message string, wantsScan bool) {
	message, msg := string(readText(e.Message)), string(readText(e.Msg))
	wantsScan = strings.Contains(message, scanText) || strings.Contains(msg, scanText)
	if message == "" {
		message = msg
	}
	return message, wantsScan
}

// login returns the level's login without the texts that are too long, and sentences
// that name these.
func (e *envelope) login() (*worker.Login, string) {
	var left leftOut
	status, _ := strconv.Atoi(plainNumber(strings.TrimSpace(string(readText(e.Status)))))
	login := &worker.Login{
		WcID:     left.unlessLong("wcId", e.WcID, maxWcIDBytes),
		WID:      left.unlessLong("wId", e.WID, maxWIDBytes),
		NickName: left.unlessLong("nickName", e.NickName, maxNickNameBytes),
		HeadURL:  left.unlessLong("headUrl", e.HeadURL, maxHeadURLBytes),
		Status:   status,
		Token:    left.unlessLong("token", e.Token, maxTextBytes),
		Data:     left.unlessLong("data", e.Data, maxTextBytes),
	}
	return login, string(left)
}

// leftOut tells of texts that are too long for an event.
type leftOut string

// unlessLong returns the value's text, or takes note of it and returns "".
func (l *leftOut) unlessLong(key string, value []byte, limit int) string {
	if s := readText(value); len(s) <= limit && !isLong(value) {
		return string(s)
	}
	if *l != "" {
		*l += "; "
	}
	*l += leftOut(fmt.Sprintf("login.%s is left out: it is longer than %d bytes", key, limit))
	return ""
}
