package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vmihailenco/msgpack/v5"
)

// obeys checks an accepted job against the contract, apart from what [Job.Check] does.
func obeys(t *testing.T, j *Job) {
	t.Helper()
	if len(j.WcID) == 0 || !isLegal(j.WcID) || !isLegal(j.ID) || !isLegal(j.Tenant) || j.Tenant == "" {
		t.Errorf("a name that the contract forbids was accepted: %+v", j)
	}
	if len(j.Labels) > 16 {
		t.Errorf("%d labels were accepted", len(j.Labels))
	}
	for k, v := range j.Labels {
		if len(k) > 64 || len(v) > 256 || !utf8.ValidString(k+v) {
			t.Errorf("the label %q=%q was accepted", k, v)
		}
	}
	for _, at := range []time.Time{j.RequestedAt, j.Deadline} {
		if year := at.UTC().Year(); !at.IsZero() && (year < 2000 || year > 9999) {
			t.Errorf("a time in the year %d was accepted", year)
		}
	}
}

// isLegal tells whether s may be a name, or is left out.
func isLegal(s string) bool {
	return len(s) <= 128 && utf8.ValidString(s) &&
		!slices.ContainsFunc([]rune(s), func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
}

// sameJob compares instants, whatever their zone, and takes no labels for empty ones.
func sameJob(a, b *Job) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

// rereads encodes what was decoded, in each encoding, and expects the same job back.
func rereads(t *testing.T, j *Job) {
	t.Helper()
	for _, as := range []Encoding{EncodingMsgpack, EncodingJSON} {
		data, err := j.Encode(as)
		if err != nil {
			t.Fatalf("%s: what was read can't be written: %v", as, err)
		}
		if len(data) > MaxJobBytes {
			continue
		}
		again, err := DecodeJob(data, as.ContentType())
		if err != nil {
			t.Fatalf("%s: what was written can't be read: %v", as, err)
		}
		if diff := sameJob(j, again); diff != "" {
			t.Errorf("%s: -read +read again:\n%s", as, diff)
		}
	}
}

// decodes returns the accepted job, or nil for one that was refused, and rightly so.
func decodes(t *testing.T, data []byte, contentType string) *Job {
	t.Helper()
	j, err := DecodeJob(data, contentType)
	switch {
	case j == nil:
		t.Fatal("no job: who sent it can't be told")
	case err == nil && len(data) > MaxJobBytes:
		t.Fatalf("%d bytes were accepted", len(data))
	case err == nil:
		return j
	case !errors.Is(err, ErrInvalidJob):
		t.Fatalf("the error is not ErrInvalidJob: %v", err)
	}
	return nil
}

func FuzzDecodeJobMsgpack(f *testing.F) {
	f.Add(pack(f, map[string]any{"wcId": "a", "id": "j", "type": 3, "labels": map[string]string{"k": "v"}, "deadline": noon}))
	f.Add(pack(f, map[string]any{"wcId": []byte("a"), "requestedAt": "2026-05-04T12:00:00Z", "deadline": 1.5e12, "x": []any{nil}}))
	f.Add(pack(f, map[string]any{"wcId": "a", "deadline": noon.Unix()}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if isJSON(data, "") {
			return
		}
		j := decodes(t, data, EncodingMsgpack.ContentType())
		if j == nil {
			return
		}
		obeys(t, j)
		rereads(t, j)
		var generic map[string]any
		if err := msgpack.NewDecoder(bytes.NewReader(data)).Decode(&generic); err != nil {
			return // an unknown key's value may be what this reader does not know
		}
		for key, got := range map[string]string{"wcId": j.WcID, "id": j.ID, "ttuid": j.TTUID, "aid": j.AID} {
			want := generic[key]
			if b, ok := want.([]byte); ok {
				want = string(b)
			}
			if want != got && (want != nil || got != "") {
				t.Errorf("%s: read %q, %q is there", key, got, want)
			}
		}
	})
}

func FuzzDecodeJobJSON(f *testing.F) {
	f.Add([]byte(`{"wcId":"a","id":"j","type":3,"labels":{"k":"v"},"deadline":"2026-05-04T12:00:00+02:00","x":[{}]}`))
	f.Add([]byte(`{"wcId":"a","deadline":1777896000}`))
	f.Add([]byte(" \t\r\n{\"wcId\":\"\\u0061\",\"requestedAt\":1777896000000,\"tenant\":null}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := decodes(t, data, "application/json; charset=utf-8")
		if j == nil {
			return
		}
		if !json.Valid(data) || !isJSON(data, "") {
			t.Fatal("what is no JSON object was accepted")
		}
		obeys(t, j)
		rereads(t, j)
		if without, err := DecodeJob(data, ""); err != nil || sameJob(j, without) != "" {
			t.Errorf("without a content type it is another job: %+v, %v", without, err)
		}
		var generic map[string]any
		if err := json.Unmarshal(data, &generic); err != nil {
			t.Fatal(err)
		}
		for key, got := range map[string]string{"wcId": j.WcID, "id": j.ID, "ttuid": j.TTUID, "aid": j.AID} {
			if want := generic[key]; want != got && (want != nil || got != "") {
				t.Errorf("%s: read %q, %q is there", key, got, want)
			}
		}
	})
}

// FuzzJobFields writes a job field by field: it is accepted in both encodings when the
// contract allows each of them, and refused in both when one breaks a rule.
func FuzzJobFields(f *testing.F) {
	f.Add("wxid_a", "j1", "t", "a", "acme", 3, noon.UnixMilli(), "k", "v", uint8(16))
	f.Add("wxid_a", "j1", "", "", "", 0, noon.Unix(), "", "", uint8(0))
	f.Add("a\u0085", "", "", "", "", 0, int64(0), "", "", uint8(0))
	f.Fuzz(func(t *testing.T, wcID, id, ttuid, aid, tenant string, kind int, deadline int64, key, value string, labels uint8) {
		legal := wcID != "" && labels <= 16 && (labels == 0 || len(value) <= 256)
		for _, name := range []string{wcID, id, ttuid, aid, tenant} {
			if !utf8.ValidString(name) {
				return // JSON has no way to write it
			}
			legal = legal && isLegal(name)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return
		}
		pairs := map[string]string{}
		for i := range labels {
			name := key + strconv.Itoa(int(i))
			pairs[name] = value
			legal = legal && len(name) <= 64
		}
		if year := time.UnixMilli(deadline).UTC().Year(); year < 2000 || year > 9999 {
			legal = false
		}
		m := map[string]any{"wcId": wcID, "id": id, "ttuid": ttuid, "aid": aid, "tenant": tenant, "type": kind, "deadline": deadline, "labels": pairs}
		asJSON, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		asMsgpack := pack(t, m)
		if max(len(asJSON), len(asMsgpack)) > MaxJobBytes {
			return
		}
		one, two := decodes(t, asJSON, ""), decodes(t, asMsgpack, "")
		if (one != nil) != legal || (two != nil) != legal {
			t.Fatalf("as JSON %+v, as msgpack %+v; legal: %v", one, two, legal)
		}
		if !legal {
			return
		}
		if diff := sameJob(one, two); diff != "" {
			t.Errorf("-JSON +msgpack:\n%s", diff)
		}
		if one.WcID != wcID || one.ID != id || one.TTUID != ttuid || one.AID != aid || !one.Deadline.Equal(time.UnixMilli(deadline)) {
			t.Errorf("got %+v", one)
		}
	})
}

// FuzzDeliveryID: each job has an id that the contract allows, from the first of the
// body, the header and the sequence that has one.
func FuzzDeliveryID(f *testing.F) {
	f.Add("own", "header", uint64(7))
	f.Add("", "head\ner", uint64(0))
	f.Fuzz(func(t *testing.T, own, header string, sequence uint64) {
		data := pack(t, map[string]any{"wcId": "a", "id": own})
		d := Delivery{Data: bytes.Clone(data), MsgID: header, Stream: "S", Sequence: sequence}
		want := "S-" + strconv.FormatUint(sequence, 10)
		if header != "" {
			want = header
		}
		if own != "" {
			want = own
		}
		j, err := d.Job()
		if (err == nil) != isLegal(want) {
			t.Errorf("id %q: %v", want, err)
		}
		if j.ID != want {
			t.Errorf("the id is %q, want %q", j.ID, want)
		}
		if !bytes.Equal(d.Data, data) {
			t.Error("the bytes were changed, which a dead letter repeats")
		}
	})
}
