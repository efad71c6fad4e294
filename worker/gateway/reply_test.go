package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// ambiguous stands for a reply that must be an error.
const ambiguous = job.Unknown

// TestCapturedReplies reads what real gateways answered. The first word of a file's
// name is the outcome that it must have.
func TestCapturedReplies(t *testing.T) {
	files, err := filepath.Glob("testdata/replies/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no replies", err)
	}
	outcomes := map[string]job.Outcome{
		"succeeded": job.Succeeded, "failed": job.Failed, "needs": job.NeedsScan, "unknown": ambiguous,
	}
	for _, file := range files {
		name := filepath.Base(file)
		word, _, _ := strings.Cut(strings.TrimSuffix(name, ".json"), "-")
		want, ok := outcomes[word]
		if word == "query" {
			continue // a reply to another call
		}
		if !ok {
			t.Errorf("%s: its name begins with no outcome that is known here", name)
		}
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkReply(t, body, want)
		})
	}
}

// parseReply reads a reply as it comes, with no credential to hide.
func parseReply(body []byte) (worker.Reply, error) {
	var kept bytes.Buffer
	if _, err := readBody(&kept, bytes.NewReader(body)); err != nil {
		return worker.Reply{}, fmt.Errorf("%w: %w", ErrAmbiguous, err)
	}
	return parse(kept.Bytes(), strings.NewReplacer())
}

func checkReply(t *testing.T, body []byte, want job.Outcome) worker.Reply {
	t.Helper()
	reply, err := parseReply(body)
	switch {
	case want == ambiguous && !errors.Is(err, ErrAmbiguous):
		t.Errorf("got %+v, %v, want ErrAmbiguous", reply, err)
	case want != ambiguous && (err != nil || reply.Outcome != want):
		t.Errorf("got %+v, %v, want %s", reply, err, want)
	}
	return reply
}

func TestParseReply(t *testing.T) {
	const login = `{"wcId":"w","wId":"i"}`
	tests := map[string]struct {
		body string
		want job.Outcome
	}{
		"code with a fraction":            {`{"code":1000.0,"data":` + login + `}`, job.Succeeded},
		"code with an exponent":           {`{"code":1e3,"data":` + login + `}`, job.Succeeded},
		"code with white space":           {`{"code":" 1000 ","data":` + login + `}`, job.Succeeded},
		"byte order mark, newlines":       {"\ufeff\r\n {\"code\":1000,\"data\":" + login + "}\n\n", job.Succeeded},
		"inner 1000 beside the wId":       {`{"code":1000,"data":{"code":"1000","wId":"i","data":"x"}}`, job.Succeeded},
		"inner null code":                 {`{"code":1000,"data":{"code":null,"wId":"i"}}`, job.Succeeded},
		"envelope of a login":             {`{"code":1000,"data":{"code":1000,"data":` + login + `}}`, job.Succeeded},
		"four envelopes of a login":       {`{"code":1000,"data":{"code":1000,"data":{"code":1000,"data":{"code":1000,"data":` + login + `}}}}`, job.Succeeded},
		"wrong types in a login":          {`{"code":1000,"data":{"wId":7,"wcId":[1],"nickName":{},"status":[],"token":true,"data":[]}}`, job.Succeeded},
		"a success that speaks of a scan": {`{"code":1000,"msg":"无需重新扫码","data":` + login + `}`, job.Succeeded},

		"outer failure, inner success":   {`{"code":1001,"data":{"code":1000,"data":` + login + `}}`, job.Failed},
		"failure below a login":          {`{"code":1000,"data":{"wId":"i","data":{"code":"1001"}}}`, job.Failed},
		"failure five levels down":       {`{"code":1000,"data":{"code":1000,"data":{"code":1000,"data":{"code":1000,"data":{"code":1000,"data":{"code":9}}}}}}`, job.Failed},
		"failure with a login":           {`{"code":1001,"data":` + login + `}`, job.Failed},
		"code 0":                         {`{"code":0,"data":` + login + `}`, job.Failed},
		"negative code":                  {`{"code":-1}`, job.Failed},
		"huge code":                      {`{"code":1` + strings.Repeat("0", 400) + `}`, job.Failed},
		"code with a huge exponent":      {`{"code":1e999999999}`, job.Failed},
		"code that is a word":            {`{"code":"ERR"}`, job.Failed},
		"message of a wrong type":        {`{"code":1001,"message":{"a":1},"msg":[2]}`, job.Failed},
		"scan in msg beside message":     {`{"code":1001,"message":"失败","msg":"请重新扫码"}`, job.NeedsScan},
		"scan in the outer text":         {`{"code":1000,"message":"请重新扫码","data":{"code":1001,"message":"失败"}}`, job.NeedsScan},
		"scan with 1000 and no data":     {`{"code":1000,"message":"请重新扫码","data":null}`, job.NeedsScan},
		"scan in an inner text, no code": {`{"code":1000,"data":{"message":"请重新扫码"}}`, job.NeedsScan},

		"empty":                    {``, ambiguous},
		"white space":              {" \n", ambiguous},
		"null":                     {`null`, ambiguous},
		"array":                    {`[{"code":1000,"data":` + login + `}]`, ambiguous},
		"string":                   {`"1000"`, ambiguous},
		"number":                   {`1000`, ambiguous},
		"HTML":                     {`<html><body>502 Bad Gateway</body></html>`, ambiguous},
		"truncated":                {`{"code":"1000","data":{"wcId":"w","wId":"i"`, ambiguous},
		"something behind":         {`{"code":1001} {"code":1000}`, ambiguous},
		"empty object":             {`{}`, ambiguous},
		"code null":                {`{"code":null,"data":` + login + `}`, ambiguous},
		"code empty":               {`{"code":"","data":` + login + `}`, ambiguous},
		"code of a wrong type":     {`{"code":[1000],"data":` + login + `}`, ambiguous},
		"code true":                {`{"code":true}`, ambiguous},
		"inner code of wrong type": {`{"code":1000,"data":{"code":{},"wId":"i"}}`, ambiguous},
		"scan without a code":      {`{"message":"请重新扫码"}`, ambiguous},
		"login beside the code":    {`{"code":1000,"wcId":"w","wId":"i","data":"x"}`, ambiguous},
		"data is a string":         {`{"code":1000,"data":"x"}`, ambiguous},
		"data is an array":         {`{"code":1000,"data":[` + login + `]}`, ambiguous},
		"wId of a wrong type":      {`{"code":1000,"data":{"wId":{"a":1}}}`, ambiguous},
		"too deep":                 {strings.Repeat(`{"code":1000,"data":`, 50) + login + strings.Repeat("}", 50), ambiguous},
		"absurdly deep":            {strings.Repeat(`{"code":1000,"data":`, 20_000), ambiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { checkReply(t, []byte(tt.body), tt.want) })
	}
}

func TestReplyFields(t *testing.T) {
	t.Run("login", func(t *testing.T) {
		reply := checkReply(t, []byte(`{"code":1000.0,"msg":"ok","data":{"wcId":"w","wId":"i","nickName":"n","headUrl":"h","status":"3","token":"t","data":"d","more":1}}`), job.Succeeded)
		want := job.Login{WcID: "w", WID: "i", NickName: "n", HeadURL: "h", Status: 3, Token: "t", Data: "d"}
		if *reply.Login != want || reply.Code != "1000" || reply.Message != "ok" {
			t.Errorf("got %+v, login %+v", reply, reply.Login)
		}
	})
	t.Run("no wcId replied", func(t *testing.T) {
		reply := checkReply(t, []byte(`{"code":1000,"data":{"wId":"i"}}`), job.Succeeded)
		if *reply.Login != (job.Login{WID: "i"}) {
			t.Errorf("login %+v", reply.Login)
		}
	})
	t.Run("inner code and message", func(t *testing.T) {
		reply := checkReply(t, []byte(`{"code":1000,"message":"outer","data":{"code":1001,"msg":"inner","data":null}}`), job.Failed)
		if reply.Code != "1001" || reply.Message != "inner" || reply.Login != nil {
			t.Errorf("got %+v", reply)
		}
	})
	t.Run("long message", func(t *testing.T) {
		reply := checkReply(t, []byte(`{"code":1001,"message":"x`+strings.Repeat("失", 1000)+`"}`), job.Failed)
		if n := len(reply.Message); n > maxMessageBytes || n < maxMessageBytes-3 || !utf8.ValidString(reply.Message) {
			t.Errorf("message of %d bytes, valid: %v", n, utf8.ValidString(reply.Message))
		}
	})
	t.Run("invalid UTF-8", func(t *testing.T) {
		reply := checkReply(t, []byte("{\"code\":\"\xff\",\"message\":\"a\xffb\\ud800\"}"), job.Failed)
		if !utf8.ValidString(reply.Message) || !utf8.ValidString(reply.Code) {
			t.Errorf("got %q, %q", reply.Code, reply.Message)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	files, _ := filepath.Glob("testdata/replies/*.json")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	for _, body := range []string{
		``, `null`, `<html>`, `{"code":1e3,"data":{"code":1000,"data":{"wId":1}}}`, `{"code":"`, "\ufeff{}",
		`{"code":[],"message":{},"data":[[]]}`, `{"code":1000,"data":{"status":"1e9","wId":"\ud800"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reply, err := parseReply(body)
		if err != nil {
			if !errors.Is(err, ErrAmbiguous) {
				t.Errorf("error %v is not ErrAmbiguous", err)
			}
			return
		}
		switch reply.Outcome {
		case job.Succeeded:
			if reply.Login == nil || reply.Login.WID == "" || reply.Code != codeOK {
				t.Errorf("success without a login: %+v", reply)
			}
		case job.Failed, job.NeedsScan:
			if reply.Login != nil {
				t.Errorf("a login without success: %+v", reply)
			}
		default:
			t.Errorf("outcome %q", reply.Outcome)
		}
		if !utf8.ValidString(reply.Code) || !utf8.ValidString(reply.Message) || len(reply.Message) > maxMessageBytes {
			t.Errorf("code %q, message %q", reply.Code, reply.Message)
		}
	})
}

func BenchmarkParseReply(b *testing.B) {
	body, err := os.ReadFile("testdata/replies/succeeded.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseReply(body); err != nil {
			b.Fatal(err)
		}
	}
}
