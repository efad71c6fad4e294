package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// taggedEnvelope is read by encoding/json.
type taggedEnvelope struct {
	Code     json.RawMessage `json:"code"`
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

// FuzzMembers holds what each finds against encoding/json: every key of an object, and
// an envelope.
func FuzzMembers(f *testing.F) {
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
		level, ok := asObject(data)
		if !ok || !json.Valid(data) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		level.each(func(key, value []byte) {
			var k string
			if err := json.Unmarshal([]byte(`"`+string(key)+`"`), &k); err != nil {
				k = string(key) // its escapes were undone
			}
			if _, there := want[k]; !there {
				k = string(key)
			}
			got[k] = value
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: the members differ from encoding/json's (-want +got):\n%s", data, diff)
		}
		var tagged taggedEnvelope
		if err := json.Unmarshal(data, &tagged); err != nil {
			t.Fatal(err)
		}
		e, _, err := readEnvelope(level)
		if err != nil {
			return
		}
		if diff := cmp.Diff(tagged, taggedEnvelope{
			e.Code, e.Data, readText(e.Message), readText(e.Msg), readText(e.WcID), readText(e.WID),
			readText(e.NickName), readText(e.HeadURL), readText(e.Status), readText(e.Token),
		}); diff != "" {
			t.Errorf("%q: the envelope differs from encoding/json's (-want +got):\n%s", data, diff)
		}
	})
}
