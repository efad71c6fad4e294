package job

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

var update = flag.Bool("update", false, "write the golden files")

// Consumers were written against these bytes.
func TestEventOnTheWire(t *testing.T) {
	events := map[string]*Event{
		"succeeded": {
			ID: "4b8925e8-b191-51cf-95bb-270182379478", JobID: "j1", WcID: "wxid_a", Tenant: "default", Labels: map[string]string{"k": "v"},
			Result: Result{
				Outcome: Succeeded, Code: "1000", Message: "二次登录成功", Prompted: true,
				Login:     &Login{WcID: "wxid_a", WID: "w1", NickName: "n", HeadURL: "http://h", Status: 2, Token: "t", Data: "d"},
				StartedAt: noon.Add(time.Second), FinishedAt: noon.Add(2 * time.Second),
			},
			Attempts: 1, Worker: "pod", RequestedAt: noon,
		},
		"throttled": {
			ID: "e2", JobID: "j2", WcID: "wxid_b", Tenant: "acme",
			Result:   Result{Outcome: Throttled, StartedAt: noon, FinishedAt: noon, RetryAfter: noon.Add(time.Minute)},
			Attempts: 2, Worker: "pod", RequestedAt: noon,
		},
		"shared": {
			ID: "e3", JobID: "j3", WcID: "wxid_c", Tenant: "default",
			Result:   Result{Outcome: Unknown, SharedWith: "j1", Reconciled: true, FinishedAt: noon},
			Attempts: 1, Worker: "pod",
		},
	}
	for name, e := range events {
		for _, as := range []Encoding{EncodingJSON, EncodingMsgpack} {
			t.Run(name+" as "+string(as), func(t *testing.T) {
				data, err := e.Encode(as)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+string(as), as, data)
				got, err := DecodeEvent(data, as.ContentType())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(e, got); diff != "" {
					t.Errorf("-sent +read:\n%s", diff)
				}
			})
		}
	}
}

// golden compares with testdata; msgpack is kept as hex, a line for each 32 bytes.
func golden(t *testing.T, name string, as Encoding, data []byte) {
	t.Helper()
	text := append(bytes.Clone(data), '\n')
	if as == EncodingMsgpack {
		text = nil
		for len(data) > 0 {
			n := min(len(data), 32)
			text = append(append(text, hex.EncodeToString(data[:n])...), '\n')
			data = data[n:]
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s: the wire format has changed:\n%s\nwant:\n%s", path, text, want)
	}
}

// What is zero is left out, whatever the encoding.
func TestEventLeavesOutWhatIsZero(t *testing.T) {
	data, err := (&Event{}).Encode(EncodingMsgpack)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := msgpack.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"labels", "login", "code", "retryAfter", "startedAt", "requestedAt", "sharedWith"} {
		if _, ok := keys[key]; ok {
			t.Errorf("%s is there: %v", key, keys[key])
		}
	}
}

func BenchmarkEncodeEvent(b *testing.B) {
	e := &Event{ID: "4b8925e8-b191-51cf-95bb-270182379478", JobID: "j1", WcID: "wxid_a", Tenant: "default", Attempts: 1, Worker: "pod", RequestedAt: noon,
		Result: Result{Outcome: Succeeded, Code: "1000", Prompted: true, FinishedAt: noon, StartedAt: noon,
			Login: &Login{WcID: "wxid_a", WID: "w1", Data: string(make([]byte, 600))}}}
	for _, as := range []Encoding{EncodingMsgpack, EncodingJSON} {
		b.Run(string(as), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encode(as); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestDecodeMalformedEvent has what anybody may store among the events: a reader must
// live on, and keep nothing of it.
func TestDecodeMalformedEvent(t *testing.T) {
	for name, data := range map[string]string{
		"a time that is nil":   "\x81\xaafinishedAt\xc0",
		"a long promise":       "\x81\xa1x\xc6\xc6\xc6\xc6\xc6",
		"many labels promised": "\x81\xa6labels\xdf\x00\xff\xff\xff",
		"deeply nested":        "\x81\xa1x" + strings.Repeat("\x91", 8<<20),
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				if e, err := DecodeEvent([]byte(data), ""); err == nil {
					t.Fatalf("read %+v", e)
				}
			}
		})
	}
}
