package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func pack(t testing.TB, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeJob(t *testing.T) {
	full := Job{
		ID: "j1", WcID: "wxid_a", Type: 3, TTUID: "t", AID: "a", Tenant: "acme",
		RequestedAt: noon, Deadline: noon.Add(time.Minute), Labels: map[string]string{"k": "v"},
	}
	asMap := map[string]any{
		"id": "j1", "wcId": "wxid_a", "type": 3, "ttuid": "t", "aid": "a", "tenant": "acme",
		"requestedAt": noon, "deadline": noon.Add(time.Minute), "labels": map[string]string{"k": "v"},
		"unknown": []any{map[string]any{"deep": []int{1}}},
	}
	asJSON, _ := json.Marshal(asMap)
	minimal := Job{WcID: "wxid_a", Type: 2, Tenant: "default"}
	tests := map[string]struct {
		data        []byte
		contentType string
		want        Job
	}{
		"msgpack":                       {pack(t, asMap), "", full},
		"msgpack, content type":         {pack(t, asMap), "application/msgpack", full},
		"JSON":                          {asJSON, "", full},
		"JSON after white space":        {append([]byte("\r\n\t "), asJSON...), "", full},
		"JSON with charset":             {asJSON, "Application/JSON; charset=utf-8", full},
		"minimal msgpack":               {pack(t, map[string]any{"wcId": "wxid_a"}), "", minimal},
		"minimal JSON":                  {[]byte(`{"wcId":"wxid_a"}`), "", minimal},
		"null is left out":              {[]byte(`{"wcId":"wxid_a","id":null,"labels":null,"deadline":null}`), "", minimal},
		"nil is left out":               {pack(t, map[string]any{"wcId": "wxid_a", "id": nil, "deadline": nil}), "", minimal},
		"msgpack bytes are strings":     {pack(t, map[string]any{"wcId": []byte("wxid_a")}), "", minimal},
		"msgpack, times in words":       {pack(t, map[string]any{"wcId": "wxid_a", "deadline": "2026-05-04T12:00:00Z"}), "", Job{WcID: "wxid_a", Type: 2, Tenant: "default", Deadline: noon}},
		"msgpack, times in ms":          {pack(t, map[string]any{"wcId": "wxid_a", "deadline": noon.UnixMilli()}), "", Job{WcID: "wxid_a", Type: 2, Tenant: "default", Deadline: noon}},
		"msgpack, times in floating ms": {pack(t, map[string]any{"wcId": "wxid_a", "deadline": float64(noon.UnixMilli())}), "", Job{WcID: "wxid_a", Type: 2, Tenant: "default", Deadline: noon}},
		"JSON, times in ms":             {[]byte(`{"wcId":"wxid_a","deadline":1777896000000}`), "", Job{WcID: "wxid_a", Type: 2, Tenant: "default", Deadline: noon}},
		"first moment of 2000":          {[]byte(`{"wcId":"wxid_a","deadline":946684800000}`), "", Job{WcID: "wxid_a", Type: 2, Tenant: "default", Deadline: time.UnixMilli(946684800000).UTC()}},
		"odd account":                   {pack(t, map[string]any{"wcId": "a.b *>{}😀"}), "", Job{WcID: "a.b *>{}😀", Type: 2, Tenant: "default"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeJob(test.data, test.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeJobRefuses(t *testing.T) {
	cutOff := []byte{0x82, 0xa4, 'w', 'c', 'I', 'd', 0xa1, 'a', 0xa2, 'i', 'd', 0xa5, 'j'}
	manyLabels := map[string]string{}
	for i := range 17 {
		manyLabels[strings.Repeat("k", i+1)] = "v"
	}
	tests := map[string]struct {
		data []byte
		want string // in the error
		wcID string // what can be read all the same
	}{
		"empty":                  {nil, "empty", ""},
		"white space":            {[]byte(" \n"), "empty", ""},
		"too large":              {make([]byte, MaxJobBytes+1), "at most 65536", ""},
		"truncated":              {cutOff, "cut off", "a"},
		"JSON truncated":         {[]byte(`{"wcId":"wxid_a"`), "JSON", ""},
		"not a map":              {pack(t, []int{1}), "neither a JSON object nor a msgpack map", ""},
		"nil":                    {[]byte{0xc0}, "neither a JSON object nor a msgpack map", ""},
		"text":                   {[]byte("hello,\x1b\xffthis is a text"), `neither a JSON object nor a msgpack map: it begins with "h"`, ""},
		"JSON array by header":   {[]byte(`[1]`), "neither a JSON object nor a msgpack map", ""},
		"no account":             {pack(t, map[string]any{"id": "j1"}), "wcId is missing", ""},
		"empty account":          {[]byte(`{"wcId":""}`), "wcId is missing", ""},
		"long account":           {pack(t, map[string]any{"wcId": strings.Repeat("x", 129)}), "129 bytes", strings.Repeat("x", 129)},
		"NUL in the account":     {pack(t, map[string]any{"wcId": "a\x00b"}), "control character", "a\x00b"},
		"newline in the id":      {pack(t, map[string]any{"wcId": "a", "id": "x\ny"}), "control character", "a"},
		"account not UTF-8":      {pack(t, map[string]any{"wcId": "a\xff"}), "UTF-8", "a\xff"},
		"account a number":       {pack(t, map[string]any{"wcId": 7}), "want a string", ""},
		"JSON account a number":  {[]byte(`{"wcId":7,"id":"j"}`), "wcId: want a string, got a number", ""},
		"JSON account a list":    {[]byte(`{"wcId":["7"],"id":"j"}`), "wcId: want a string, got a list", ""},
		"JSON type with a half":  {[]byte(`{"wcId":"a","type":1.5}`), "type: want an integer, got a number", "a"},
		"JSON labels a string":   {[]byte(`{"wcId":"a","labels":"x"}`), "labels: want a map of strings, got a string", "a"},
		"type a string":          {pack(t, map[string]any{"wcId": "a", "type": "2"}), "want an integer", "a"},
		"deadline a map":         {pack(t, map[string]any{"wcId": "a", "deadline": map[string]int{}}), "want a timestamp, an RFC 3339 string or a whole number of Unix milliseconds, got a map", "a"},
		"deadline no time":       {[]byte(`{"wcId":"a","deadline":"soon"}`), "RFC 3339", "a"},
		"labels too many":        {pack(t, map[string]any{"wcId": "a", "labels": manyLabels}), "at most 16", "a"},
		"label's key long":       {pack(t, map[string]any{"wcId": "a", "labels": map[string]string{strings.Repeat("k", 65): "v"}}), "65 bytes", "a"},
		"label's value long":     {pack(t, map[string]any{"wcId": "a", "labels": map[string]string{"k": strings.Repeat("v", 257)}}), "257 bytes", "a"},
		"label's value a number": {[]byte(`{"wcId":"a","labels":{"k":1}}`), "labels", "a"},
		"map of 4 billion":       {[]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, "cut off", ""},
		"string of 4 GiB":        {[]byte{0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, 'x'}, "cut off", ""},
		"nested deep":            {append([]byte{0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x91}, 60000)...), "nested", ""},
		"JSON, microseconds":     {[]byte(`{"wcId":"a","requestedAt":1763936000000000}`), "milliseconds", "a"},
		"msgpack, microseconds":  {pack(t, map[string]any{"wcId": "a", "deadline": int64(1763936000000000)}), "milliseconds", "a"},
		"year 1":                 {[]byte(`{"wcId":"a","deadline":"0001-01-01T00:00:00Z"}`), "year 1", "a"},
		"msgpack, year 60000":    {pack(t, map[string]any{"wcId": "a", "deadline": time.Unix(1763936000000, 0)}), "milliseconds", "a"},
		"JSON, seconds":          {[]byte(`{"wcId":"a","deadline":1763936000}`), "milliseconds", "a"},
		"JSON, parts of seconds": {[]byte(`{"wcId":"a","deadline":1763936000.25}`), "milliseconds", "a"},
		"JSON, nanoseconds":      {[]byte(`{"wcId":"a","deadline":1763936000000000000}`), "milliseconds", "a"},
		"JSON, nothing as 0":     {[]byte(`{"wcId":"a","deadline":0}`), "left out", "a"},
		"JSON, seconds in words": {[]byte(`{"wcId":"a","deadline":"1970-01-21T09:58:56Z"}`), "milliseconds", "a"},
		"msgpack, seconds":       {pack(t, map[string]any{"wcId": "a", "deadline": 1763936000}), "milliseconds", "a"},
		"msgpack, float seconds": {pack(t, map[string]any{"wcId": "a", "requestedAt": 1763936000.25}), "milliseconds", "a"},
		"msgpack, nanoseconds":   {pack(t, map[string]any{"wcId": "a", "deadline": int64(1763936000000000000)}), "milliseconds", "a"},
		"msgpack, float nanos":   {pack(t, map[string]any{"wcId": "a", "deadline": 1763936000e9}), "milliseconds", "a"},
		"msgpack, too early":     {pack(t, map[string]any{"wcId": "a", "deadline": time.UnixMilli(1763936000)}), "milliseconds", "a"},
		"msgpack, beyond int64":  {pack(t, map[string]any{"wcId": "a", "deadline": uint64(1) << 63}), "milliseconds", "a"},
		"last moment of 1999":    {[]byte(`{"wcId":"a","deadline":946684799999}`), "milliseconds", "a"},
		"numeric key":            {[]byte{0x81, 0x01, 0x01}, "key", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeJob(test.data, "")
			if !errors.Is(err, ErrInvalidJob) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want ErrInvalidJob with %q", err, test.want)
			}
			if got.WcID != test.wcID {
				t.Errorf("read the account %q, want %q", got.WcID, test.wcID)
			}
		})
	}
}

// A wrong value must not hide who sent it: the invalid event needs the id and account.
func TestDecodeJobReadsOnAfterAWrongValue(t *testing.T) {
	for _, data := range [][]byte{
		[]byte(`{"type":"x","wcId":"a","id":"j"}`),
		{0x83, 0xa4, 't', 'y', 'p', 'e', 0xa1, 'x', 0xa4, 'w', 'c', 'I', 'd', 0xa1, 'a', 0xa2, 'i', 'd', 0xa1, 'j'},
	} {
		got, err := DecodeJob(data, "")
		if err == nil || got.WcID != "a" || got.ID != "j" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestJobRoundTrip(t *testing.T) {
	want := &Job{ID: "1", WcID: "a b", Type: 2, Tenant: "t", RequestedAt: noon, Deadline: noon, Labels: map[string]string{"a": "b"}}
	for _, as := range []Encoding{EncodingMsgpack, EncodingJSON} {
		data, err := want.Encode(as)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeJob(data, as.ContentType())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", as, diff)
		}
	}
}

func TestDeliveryJobID(t *testing.T) {
	body := []byte(`{"wcId":"a"}`)
	tests := map[string]struct {
		d    Delivery
		want string
		ok   bool
	}{
		"own":             {Delivery{Data: []byte(`{"wcId":"a","id":"own"}`), MsgID: "header"}, "own", true},
		"header":          {Delivery{Data: body, MsgID: "header"}, "header", true},
		"sequence":        {Delivery{Data: body, Stream: "RELOGIN_JOBS", Sequence: 7}, "RELOGIN_JOBS-7", true},
		"header too long": {Delivery{Data: body, MsgID: strings.Repeat("x", 129)}, strings.Repeat("x", 129), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j, err := test.d.Job()
			if j.ID != test.want || (err == nil) != test.ok {
				t.Errorf("got %q, %v", j.ID, err)
			}
		})
	}
}

func TestAccountToken(t *testing.T) {
	tests := map[string]string{
		"wxid_wl9qchkanu22": "wxid_wl9qchkanu22",
		"A-z_0":             "A-z_0",
		"a.b":               "~YS5i",
		"a b":               "~YSBi",
		">":                 "~Pg",
		"~YS5i":             "~fllTNWk",
		"":                  "~",
	}
	for wcID, want := range tests {
		if got := AccountToken(wcID); got != want {
			t.Errorf("AccountToken(%q) = %q, want %q", wcID, got, want)
		}
	}
}

func TestEventIDTellsAccountsApart(t *testing.T) {
	ids := map[string]bool{}
	for _, j := range []Job{{WcID: "a", ID: "bc"}, {WcID: "ab", ID: "c"}, {WcID: "a", ID: "b"}, {WcID: "1:a", ID: ""}, {WcID: "", ID: "1:a"}} {
		ids[j.EventID()] = true
	}
	if len(ids) != 5 {
		t.Errorf("5 jobs have %d event ids", len(ids))
	}
}

// TestOffsetOfADay has a time that Go reads and can't write as JSON.
func TestOffsetOfADay(t *testing.T) {
	j, err := DecodeJob([]byte(`{"wcId":"a","requestedAt":"2026-05-04T12:00:00+24:00"}`), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Event{WcID: j.WcID, RequestedAt: j.RequestedAt}).Encode(EncodingJSON); err != nil {
		t.Error(err)
	}
}

func BenchmarkDecodeJob(b *testing.B) {
	data := pack(b, map[string]any{"wcId": "wxid_wl9qchkanu22", "id": "0198c5a0-7b1c-7c3e-9b1a-0242ac120002", "deadline": noon})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJob(data, ""); err != nil {
			b.Fatal(err)
		}
	}
}
