package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tidwall/gjson"
)

// FuzzShorten: valid JSON stays valid and as it is where no text is long, a long text
// keeps its start and stays long, and it does not matter in which pieces it comes. What is
// not valid does not become valid, but for escapes that are left out.
func FuzzShorten(f *testing.F) {
	f.Add(`{"a":"`, "x", uint16(9000), `"}`)
	f.Add(`["`, `\ud83d\ude00`, uint16(1500), `\"",{"`+"失"+`":1e3}]`)
	f.Add(`"`, `\`, uint16(8195), `"`)
	f.Add(`[`, `"a\"",`, uint16(3000), `"\u12"]`)
	f.Add(`{"`, "\x00", uint16(1), `":"\u00`)
	f.Fuzz(func(t *testing.T, start, piece string, n uint16, end string) {
		if len(piece) > 100 {
			return
		}
		whole := []byte(start + strings.Repeat(piece, int(n)) + end)
		short := shortened(t, bytes.NewReader(whole))
		if again := shortened(t, iotest.OneByteReader(bytes.NewReader(whole))); !bytes.Equal(again, short) {
			t.Fatalf("byte by byte it is %.100q, else %.100q", again, short)
		}
		if !json.Valid(whole) {
			if json.Valid(short) && !bytes.ContainsRune(whole, '\\') {
				t.Errorf("%.100q became valid", whole)
			}
			return
		}
		if !json.Valid(short) {
			t.Fatalf("%.100q is no longer valid", whole)
		}
		want, got := texts(t, whole), texts(t, short)
		if len(want) != len(got) {
			t.Fatalf("%d texts of %d are left", len(got), len(want))
		}
		for i := range want {
			if len(want[i]) > maxTextBytes+2 != (len(got[i]) > maxTextBytes+2) || len(got[i]) > maxTextBytes+20 {
				t.Errorf("a text of %d bytes has %d now", len(want[i]), len(got[i]))
			}
			if kept := strings.TrimSuffix(got[i], `"`); !strings.HasPrefix(want[i], kept) || len(want[i]) <= maxTextBytes+2 && want[i] != got[i] {
				t.Errorf("%.100q became %.100q", want[i], got[i])
			}
		}
	})
}

func shortened(t *testing.T, r io.Reader) []byte {
	t.Helper()
	short, err := io.ReadAll(&shortener{from: r})
	if err != nil {
		t.Fatal(err)
	}
	return short
}

// texts returns the texts of valid JSON as they are written.
func texts(t *testing.T, raw []byte) (all []string) {
	t.Helper()
	for len(raw) > 0 {
		start := bytes.IndexByte(raw, '"')
		if start < 0 {
			break
		}
		raw = raw[start:]
		text := gjson.ParseBytes(raw).Raw
		all = append(all, text)
		raw = raw[len(text):]
	}
	return all
}
