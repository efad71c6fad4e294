package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// FuzzReplyForm changes the form of a reply that was understood: what means the same is
// read the same, and no part of a reply passes for the whole.
func FuzzReplyForm(f *testing.F) {
	f.Add([]byte(`{"code":1000,"data":{"wcId":"w","wId":"i"}}`), uint16(20))
	f.Add([]byte(`{"code":"1001","message":"请重新扫码","data":null}`), uint16(3))
	f.Fuzz(func(t *testing.T, body []byte, cutAt uint16) {
		want, err := parseReply(body)
		if err != nil {
			if text := strings.TrimPrefix(err.Error(), ErrAmbiguous.Error()+": "); !ambiguities[text] {
				t.Errorf("the error may quote the reply: %q", text)
			}
			return
		}
		checkText(t, want)
		plain := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
		_, rest, _ := bytes.Cut(plain, []byte("{"))
		for name, same := range map[string]string{
			"white space":       " \r\n\t" + string(plain) + "\n ",
			"a byte order mark": "\ufeff" + string(plain),
			"an unknown key":    `{"zz":{"code":"7","wId":"x","data":[{}]},` + string(rest),
		} {
			if name == "an unknown key" && bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) || len(same) > maxKeptBytes {
				continue
			}
			if got, err := parseReply([]byte(same)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("with %s: %+v, %v, want %+v", name, got, err, want)
			}
		}
		for name, other := range map[string][]byte{
			"a part":         plain[:int(cutAt)%len(plain)],
			"two replies":    append(bytes.Clone(plain), plain...),
			"a list of them": append(append([]byte("["), plain...), ']'),
		} {
			if got, err := parseReply(other); !errors.Is(err, ErrAmbiguous) {
				t.Errorf("%s was understood: %+v, %v", name, got, err)
			}
		}
	})
}

// ambiguities are all that is said of a reply that is not understood.
var ambiguities = map[string]bool{
	errLongReply.Error():                                   true,
	"the reply nests too many envelopes":                   true,
	"the reply is not a JSON object with a code":           true,
	"the reply says success and has no login":              true,
	"the reply says success and its wId is over 256 bytes": true,
	"the reply is not valid JSON":                          true,
	"the reply's code is neither a string nor a number":    true,
	"the reply's code is over 8192 bytes":                  true,
}

// checkText sees that all of the reply fits into an event.
func checkText(t *testing.T, r worker.Reply) {
	t.Helper()
	if r.Login == nil {
		r.Login = &job.Login{}
	}
	l := r.Login
	for text, limit := range map[string]int{
		r.Code: 64, r.Message: 1 << 10, l.WcID: 128, l.WID: 256, l.NickName: 1 << 10, l.HeadURL: 2 << 10, l.Token: 8 << 10, l.Data: 8 << 10,
	} {
		if !utf8.ValidString(text) || len(text) > limit {
			t.Errorf("%.100q has %d bytes, at most %d may come", text, len(text), limit)
		}
	}
	if r.Code == "" {
		t.Error("a reply without a code")
	}
}

// FuzzReplyMeaning builds replies of known meaning, level by level, from outside in. One
// of the levels has the message.
func FuzzReplyMeaning(f *testing.F) {
	f.Add("1000", "", "ok", "wid", uint8(0), true)
	f.Add("1000", "1001", "请重新扫码", "", uint8(1), false)
	f.Add(" 1e3 ", "1000.0", "no", "wid", uint8(4), true)
	f.Add("1001", "1000", "", "wid", uint8(5), true)
	f.Fuzz(func(t *testing.T, outer, inner, message, wID string, levels uint8, hasLogin bool) {
		if !areUTF8(outer, inner, message, wID) {
			return
		}
		codes := []string{outer}
		for range levels % 5 {
			codes = append(codes, inner)
		}
		var data any
		if hasLogin {
			data = map[string]any{"wcId": "w", "wId": wID, "token": "t"}
		}
		speaks := int(levels/5) % len(codes)
		for i := len(codes) - 1; i >= 0; i-- {
			data = map[string]any{"code": codes[i], "data": data}
			if i == speaks {
				data.(map[string]any)["msg"] = message
			}
		}
		body, err := json.Marshal(data)
		if err != nil || len(body) > maxKeptBytes || slices.ContainsFunc([]string{outer, inner, message, wID}, func(s string) bool { return len(s) > members[keyWID].limit }) {
			return
		}
		want := meaning(codes, speaks, message, wID, hasLogin)
		reply, err := parseReply(body)
		if want == ambiguous && !errors.Is(err, ErrAmbiguous) || want != ambiguous && (err != nil || reply.Outcome != want) {
			t.Fatalf("%s: got %+v, %v, want %s", body, reply, err, want)
		}
		if want == job.Succeeded && (reply.Login.WID != wID || reply.Login.Token != "t") {
			t.Errorf("login %+v", reply.Login)
		}
	})
}

// areUTF8 tells whether JSON can hold the texts as they are.
func areUTF8(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}

// meaning is the outcome by the rules of [parse]'s comment.
func meaning(codes []string, speaks int, message, wID string, hasLogin bool) job.Outcome {
	scan, said := false, false // what the levels so far have: the text, a code
	for i, code := range codes {
		scan = scan || i == speaks && strings.Contains(message, "重新扫码")
		code = strings.TrimSpace(code)
		switch {
		case code == "" && !said: // nothing to go by, and what is inside is not looked at
			return ambiguous
		case code == "":
			continue
		case !isThousand(code) && scan:
			return job.NeedsScan
		case !isThousand(code):
			return job.Failed
		}
		said = true
	}
	switch {
	case hasLogin && wID != "":
		return job.Succeeded
	case scan:
		return job.NeedsScan
	}
	return ambiguous
}

func isThousand(code string) bool {
	if strings.ContainsAny(code, "xXpP_nNiI") { // Go's numbers, and words
		return false
	}
	n, err := strconv.ParseFloat(code, 64)
	return err == nil && math.Abs(n-1000) == 0
}

// FuzzReadText compares the reading of strings with encoding/json's.
func FuzzReadText(f *testing.F) {
	f.Add([]byte(`"a失\ud800\n\"\\"`))
	f.Add([]byte("\"\xff\u2028<\x7f\""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want string
		if !bytes.HasPrefix(raw, []byte(`"`)) || !bytes.HasSuffix(raw, []byte(`"`)) || json.Unmarshal(raw, &want) != nil {
			return
		}
		if got := readText(gjson.ParseBytes(raw)); got != want {
			t.Errorf("%q is %q, want %q", raw, got, want)
		}
	})
}
