package gateway

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/relogin/relogin/worker/job"
)

// What a level of a reply may have.
const (
	keyCode = iota
	keyData
	keyMessage
	keyMsg
	keyWcID
	keyWID
	keyNickName
	keyHeadURL
	keyStatus
	keyToken
)

// members have the key and the limit of each, in bytes of what is brought into an event.
// Real replies have a wId of 36, a headUrl of 150, a token of 24 and data of 700; a job's
// wcId has 128 at the most. The message and the code are cut, and else read whole.
var members = [...]struct {
	key   string
	limit int
}{
	keyCode:     {"code", maxCodeBytes},
	keyData:     {"data", maxTextBytes},
	keyMessage:  {"message", maxMessageBytes},
	keyMsg:      {"msg", maxMessageBytes},
	keyWcID:     {"wcId", 128},
	keyWID:      {"wId", 256},
	keyNickName: {"nickName", 1 << 10},
	keyHeadURL:  {"headUrl", 2 << 10},
	keyStatus:   {"status", maxTextBytes},
	keyToken:    {"token", maxTextBytes},
}

const (
	maxCodeBytes    = 64
	maxMessageBytes = 1 << 10
	maxTextBytes    = 8 << 10 // of any text that is read whole
)

// envelope is one level of a reply. The one under data may be a login, another envelope,
// or both in one.
type envelope [len(members)]gjson.Result

// readEnvelope returns the members of an object, which is valid. Of keys that are there
// twice the last one counts, and case does not, as in encoding/json.
func readEnvelope(object gjson.Result) (e envelope) {
	object.ForEach(func(key, value gjson.Result) bool {
		for i := range members {
			if strings.EqualFold(key.Str, members[i].key) {
				e[i] = value
				break
			}
		}
		return true
	})
	return e
}

// code returns the level's code, 1000.0 and " 1000" being 1000; it is empty when the level
// has none.
func (e *envelope) code() (string, error) {
	switch c := e[keyCode]; {
	case c.Type == gjson.Null:
		return "", nil
	case !isText(c):
		return "", fmt.Errorf("%w: the reply's code is neither a string nor a number", ErrAmbiguous)
	case isLong(c.Raw):
		return "", fmt.Errorf("%w: the reply's code is over %d bytes", ErrAmbiguous, maxTextBytes)
	default:
		return plainNumber(readText(c)), nil
	}
}

// said returns the level's message, and whether it or the other one speaks of a scan.
func (e *envelope) said() (said string, wantsScan bool) {
	said, other := readText(e[keyMessage]), readText(e[keyMsg])
	wantsScan = strings.Contains(said, scanText) || strings.Contains(other, scanText)
	if said == "" {
		said = other
	}
	return said, wantsScan
}

// login returns the level's login without the texts that are too long, and sentences
// that name these. It shares no memory with the reply.
func (e *envelope) login() (login *job.Login, leftOut string) {
	text := func(member int) string {
		s, fits := e.text(member)
		if !fits {
			if leftOut != "" {
				leftOut += "; "
			}
			leftOut += fmt.Sprintf("login.%s is left out: it is longer than %d bytes", members[member].key, members[member].limit)
		}
		return strings.Clone(s)
	}
	login = &job.Login{
		WcID: text(keyWcID), WID: text(keyWID), NickName: text(keyNickName), HeadURL: text(keyHeadURL), Token: text(keyToken), Data: text(keyData),
	}
	login.Status, _ = strconv.Atoi(plainNumber(readText(e[keyStatus])))
	return login, leftOut
}

// text returns the member's text if it is within its limit.
func (e *envelope) text(member int) (s string, fits bool) {
	if s = readText(e[member]); len(s) > members[member].limit || isLong(e[member].Raw) {
		return "", false
	}
	return s, true
}

func isText(r gjson.Result) bool { return r.Type == gjson.String || r.Type == gjson.Number }

// readText returns a JSON string, or a number as it is written; any other value reads as
// "". It is valid UTF-8, and what encoding/json reads.
func readText(r gjson.Result) string {
	switch {
	case r.Type == gjson.Number:
		return r.Raw
	case r.Type != gjson.String:
		return ""
	case len(r.Str) == len(r.Raw)-len(`""`) && utf8.ValidString(r.Str):
		return r.Str
	}
	var s string
	_ = json.Unmarshal([]byte(r.Raw), &s) // it is valid
	return s
}
