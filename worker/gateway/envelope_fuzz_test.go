package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidwall/gjson"
)

// text is a JSON string, or a number as it is written, as encoding/json has them; any
// other value reads as "".
type text string

func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	switch {
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*t = text(raw)
	case json.Unmarshal(raw, &s) == nil:
		*t = text(s)
	default:
		*t = ""
	}
	return nil
}

// taggedEnvelope is read by encoding/json.
type taggedEnvelope struct {
	Code     text            `json:"code"`
	Data     json.RawMessage `json:"data"`
	Message  text            `json:"message"`
	Msg      text            `json:"msg"`
	WcID     text            `json:"wcId"`
	WID      text            `json:"wId"`
	NickName text            `json:"nickName"`
	HeadURL  text            `json:"headUrl"`
	Status   text            `json:"status"`
	Token    text            `json:"token"`
}

// FuzzEnvelope holds what readEnvelope finds against encoding/json.
func FuzzEnvelope(f *testing.F) {
	captures, err := filepath.Glob("testdata/replies/*.json")
	if err != nil || len(captures) == 0 {
		f.Fatalf("no captures: %v", err)
	}
	for _, capture := range captures {
		data, err := os.ReadFile(capture)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":{"b":["}","]",{"c":"\\\""}]},"code":1e3}`, `{"\u0063ode":"1000","CODE":1,"data":null}`,
		`{"a":"\\","b":-0.5e+3 , "c" : [ ] ,"d":true}`, `{"wcid":"x","msg":"\ud800","message":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		level := gjson.ParseBytes(data)
		if !level.IsObject() || !json.Valid(data) {
			return
		}
		var want taggedEnvelope
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		e := readEnvelope(level)
		read := func(member int) text { return text(readText(e[member])) }
		if diff := cmp.Diff(want, taggedEnvelope{
			read(keyCode), json.RawMessage(e[keyData].Raw), read(keyMessage), read(keyMsg), read(keyWcID), read(keyWID),
			read(keyNickName), read(keyHeadURL), read(keyStatus), read(keyToken),
		}, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: the envelope differs from encoding/json's (-want +got):\n%s", data, diff)
		}
	})
}
