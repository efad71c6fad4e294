package letters

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/relogin/relogin/queue"
)

func TestGroups(t *testing.T) {
	start := time.Now()
	g := Groups{}
	for i, one := range []queue.DeadLetter{
		{Reason: `invalid job: wcId has 130 bytes, at most 128 are allowed`, WcID: "a"},
		{Reason: `unknown tenant "acme"`, WcID: "b"},
		{Reason: `invalid job: wcId has 999 bytes, at most 128 are allowed`, WcID: "a"},
		{Reason: `unknown tenant "a \" quote"`, WcID: "c"},
		{Reason: `unknown tenant "beta"`},
	} {
		one.Sequence, one.StoredAt = uint64(i+1), start.Add(time.Duration(i)*time.Second)
		g.Add(&one)
	}
	all := g.All()
	if len(all) != 2 {
		t.Fatalf("%d groups", len(all))
	}
	tenants, invalid := all[0], all[1]
	if tenants.Letters != 3 || tenants.Accounts != 2 || tenants.Reason != `unknown tenant "beta"` || tenants.Example != 5 ||
		!tenants.Oldest.Equal(start.Add(time.Second)) || !tenants.Newest.Equal(start.Add(4*time.Second)) {
		t.Errorf("the unknown tenants are %+v", tenants)
	}
	if invalid.Letters != 2 || invalid.Accounts != 1 || invalid.Example != 3 {
		t.Errorf("the invalid jobs are %+v", invalid)
	}
}

func TestBody(t *testing.T) {
	packed := func(v any) []byte {
		b, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, test := range []struct {
		about string
		data  []byte
		want  string
	}{
		{"JSON", []byte(`{"wcId":"a","big":12345678901234567890,"html":"<b>"}`), "{\n  \"big\": 12345678901234567890,\n  \"html\": \"<b>\",\n  \"wcId\": \"a\"\n}"},
		{"msgpack", packed(map[string]any{"wcId": "a", "type": 2}), "{\n  \"type\": 2,\n  \"wcId\": \"a\"\n}"},
		{"keys that are no strings", packed(map[any]any{1: "x", "y": []any{map[any]any{true: []byte("z")}}}), "{\n  \"1\": \"x\",\n  \"y\": [\n    {\n      \"true\": \"z\"\n    }\n  ]\n}"},
		{"text", []byte("no job"), `6 bytes that are neither JSON nor msgpack: "no job"`},
		{"nothing", nil, `0 bytes that are neither JSON nor msgpack: ""`},
		{"a control sequence", []byte("\x1b[31m"), `5 bytes that are neither JSON nor msgpack: "\x1b[31m"`},
		{"a character", []byte("1x"), `2 bytes that are neither JSON nor msgpack: "1x"`},
	} {
		if got := Body(test.data); got != test.want {
			t.Errorf("%s: got %s, want %s", test.about, got, test.want)
		}
	}
}

func TestBodyHidesSecrets(t *testing.T) {
	login := map[string]any{"wcId": "a", "token": "s3cret", "data": "s3cret"}
	event, err := msgpack.Marshal(map[string]any{"login": login})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{event, []byte(`{"login":{"token":"s3cret","data":{"x":"s3cret"}}}`)} {
		if got := Body(data); strings.Contains(got, "s3cret") || !strings.Contains(got, hidden) {
			t.Errorf("got %s", got)
		}
	}
}

func TestDeepBodiesAreCut(t *testing.T) {
	for _, data := range []string{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat("\x91", 60_000) + "\x01", strings.Repeat("\x81", 60_000)} {
		if got := Body([]byte(data)); len(got) > 10_000 {
			t.Errorf("%.10q is shown in %d bytes", data, len(got))
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"wcId":"a"}`))
	f.Add([]byte("\x81\xa4wcId\xa1b"))
	f.Add(bytes.Repeat([]byte("\x91"), 1000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := Body(data); strings.ContainsFunc(got, func(r rune) bool { return r < ' ' && r != '\n' }) {
			t.Errorf("%q", got)
		}
	})
}
