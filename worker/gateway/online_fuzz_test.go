package gateway

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecodeList: a list is read whole or not at all, since who is missing is taken for
// logged out.
func FuzzDecodeList(f *testing.F) {
	f.Add([]byte(`{"message":"成功","code":"1000","data":[{"wcId":"a","wId":"1"},{"wcId":"b"},7]}`), uint16(40))
	f.Add([]byte(`{"data":null,"code":1e3,"x":[{"wcId":"no"}]}`), uint16(1))
	f.Fuzz(func(t *testing.T, body []byte, cutAt uint16) {
		list, err := decodeList(bytes.NewReader(body), 1<<20)
		if err != nil {
			if text := err.Error(); !slices.Contains([]error{errList, errLongList, errLongValue}, err) && !strings.HasPrefix(text, "the gateway answered code ") {
				t.Errorf("the error may quote the list: %q", text)
			}
			return
		}
		for wcID, wID := range list {
			if wcID == "" || wID == "" || len(wcID) > 128 || len(wID) > 256 || !utf8.ValidString(wcID+wID) {
				t.Errorf("the entry %q: %q", wcID, wID)
			}
		}
		d := json.NewDecoder(bytes.NewReader(body))
		var whole json.RawMessage
		if err := d.Decode(&whole); err != nil {
			t.Fatalf("what is no JSON was read: %v", err)
		}
		part := whole[:int(cutAt)%len(whole)]
		if list, err := decodeList(bytes.NewReader(part), 1<<20); err == nil {
			t.Errorf("a part was read: %q", list)
		}
		if _, err := decodeList(bytes.NewReader(body), int64(len(whole))/2); err == nil {
			t.Error("a list over the limit was read")
		}
		again, err := decodeList(strings.NewReader(`{"zz":{"code":"7","data":[{"wcId":"zz","wId":"zz"}]},`+string(whole[1:])), 1<<20)
		if err != nil || !maps.Equal(again, list) {
			t.Errorf("with an unknown key: %q, %v, want %q", again, err, list)
		}
	})
}

// FuzzListEntries: every account that is online is found, whatever else is in the list.
func FuzzListEntries(f *testing.F) {
	f.Add("a", "1", "b", "", "1000")
	f.Add("微信", "\u2028", "a", "2", "1001")
	f.Add("a", "1", "b", "2", "")
	f.Add("a", "1", "b", "2", "1e3")
	f.Fuzz(func(t *testing.T, wcID, wID, other, otherWID, code string) {
		if !areUTF8(wcID, wID, other, otherWID, code) || len(code) > maxCodeBytes {
			return
		}
		body, err := json.Marshal(map[string]any{"code": code, "data": []any{
			nil, 7, "x", []any{wcID}, true, map[string]any{"wcId": []any{other}, "wId": other},
			map[string]any{"wcId": wcID, "wId": wID, "more": map[string]string{"wcId": other}},
			map[string]any{"wcId": other, "wId": otherWID},
		}})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, entry := range [][2]string{{wcID, wID}, {other, otherWID}} {
			if entry[0] != "" && entry[1] != "" && len(entry[0]) <= 128 && len(entry[1]) <= 256 {
				want[entry[0]] = entry[1]
			}
		}
		list, err := decodeList(bytes.NewReader(body), maxList)
		if ok := isThousand(strings.TrimSpace(code)); (err == nil) != ok {
			t.Fatalf("code %q: %v", code, err)
		} else if ok && !maps.Equal(list, want) {
			t.Errorf("%s: got %q, want %q", body, list, want)
		}
	})
}
