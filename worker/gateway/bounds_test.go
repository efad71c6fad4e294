package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/relogin/relogin/worker/job"
)

// TestLongTextsAreLeftOut has a login with one text of every length that matters: what is
// over its bound is left out whole, the rest stays, and the message says so.
func TestLongTextsAreLeftOut(t *testing.T) {
	bounds := map[string]struct {
		limit int
		of    func(*job.Login) string
	}{
		"wcId":     {128, func(l *job.Login) string { return l.WcID }},
		"nickName": {1 << 10, func(l *job.Login) string { return l.NickName }},
		"headUrl":  {2 << 10, func(l *job.Login) string { return l.HeadURL }},
		"token":    {8 << 10, func(l *job.Login) string { return l.Token }},
		"data":     {8 << 10, func(l *job.Login) string { return l.Data }},
	}
	for key, bound := range bounds {
		for _, n := range []int{1, bound.limit, bound.limit + 1, 16 << 10, 100_000, 1 << 20, 3 << 20} {
			t.Run(fmt.Sprintf("%s of %d bytes", key, n), func(t *testing.T) {
				text := strings.Repeat("x", n)
				reply := checkReply(t, []byte(`{"code":1000,"msg":"ok","data":{"wId":"i","`+key+`":"`+text+`","status":2}}`), job.Succeeded)
				if reply.Login == nil {
					t.FailNow()
				}
				want, message := text, "ok"
				if n > bound.limit {
					want, message = "", fmt.Sprintf("ok; login.%s is left out: it is longer than %d bytes", key, bound.limit)
				}
				if got := bound.of(reply.Login); got != want || reply.Message != message {
					t.Errorf("%d bytes are left, message %q, want %d, %q", len(got), reply.Message, len(want), message)
				}
				if reply.Login.WID != "i" || reply.Login.Status != 2 {
					t.Errorf("the rest is %.100v", reply.Login)
				}
			})
		}
	}
}

// TestReplyOfLongTexts has all that can be long be long at once.
func TestReplyOfLongTexts(t *testing.T) {
	long := strings.Repeat("失", 150_000)
	body := fmt.Sprintf(`{"code":1000,"msg":"%[1]s","data":{"wId":"i","wcId":"%[1]s","nickName":"%[1]s","headUrl":"%[1]s","token":"%[1]s","status":"%[1]s","unknown":"%[1]s"}}`, long)
	reply := checkReply(t, []byte(body), job.Succeeded)
	checkText(t, reply)
	if reply.Login == nil || *reply.Login != (job.Login{WID: "i"}) {
		t.Errorf("login %.100v", reply.Login)
	}
	for _, key := range []string{"wcId", "nickName", "headUrl", "token"} {
		if !strings.Contains(reply.Message, "login."+key+" is left out") {
			t.Errorf("the message does not tell of %s: %q", key, reply.Message)
		}
	}
	if !strings.HasPrefix(reply.Message, "失失失") {
		t.Errorf("the gateway's own message is gone: %q", reply.Message)
	}
}

// A message in which there is nothing but what is left out.
func TestLeftOutWithoutMessage(t *testing.T) {
	reply := checkReply(t, []byte(`{"code":1000,"data":{"wId":"i","token":"`+strings.Repeat("x", 9000)+`"}}`), job.Succeeded)
	if want := "login.token is left out: it is longer than 8192 bytes"; reply.Message != want {
		t.Errorf("got %q, want %q", reply.Message, want)
	}
}

// TestEscapesInLongTexts ends a text within an escape, wherever it is shortened.
func TestEscapesInLongTexts(t *testing.T) {
	for _, escape := range []string{`\/`, `\\`, `\"`, `\u5931`, `\ud83d\ude00`, "失"} {
		for pad := range 12 {
			token := strings.Repeat("x", pad) + strings.Repeat(escape, 100_000/len(escape))
			reply := checkReply(t, []byte(`{"code":1001,"data":{"token":"`+token+`"},"msg":"`+token+`"}`), job.Failed)
			checkText(t, reply)
		}
	}
}

// TestHostileReplies are replies of any size: each is read within bounds.
func TestHostileReplies(t *testing.T) {
	const million = 1 << 20
	login := `{"wId":"i"}`
	tests := map[string]struct {
		body string
		want job.Outcome
	}{
		"wId at its bound":            {`{"code":1000,"data":{"wId":"` + strings.Repeat("i", 256) + `"}}`, job.Succeeded},
		"wId over its bound":          {`{"code":1000,"data":{"wId":"` + strings.Repeat("i", 257) + `"}}`, ambiguous},
		"wId of a million bytes":      {`{"code":1000,"data":{"wId":"` + strings.Repeat("i", million) + `"}}`, ambiguous},
		"a million deep":              {`{"code":1000,"data":` + strings.Repeat(`{"data":`, million/8), ambiguous},
		"a million brackets":          {`{"code":1000,"data":` + strings.Repeat(`[`, million) + strings.Repeat(`]`, million) + `}`, ambiguous},
		"20,000 brackets in a member": {`{"code":1000,"x":` + strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000) + `,"data":` + login + `}`, ambiguous},
		"a code of a million digits":  {`{"code":1` + strings.Repeat("0", million) + `}`, ambiguous},
		"a code of 60,000 digits":     {`{"code":1` + strings.Repeat("0", 60_000) + `}`, ambiguous},
		"a code of 8,000 digits":      {`{"code":1` + strings.Repeat("0", 8_000) + `}`, job.Failed},
		"a code of 8,000 zeros":       {`{"code":1000.` + strings.Repeat("0", 8_000) + `,"data":` + login + `}`, job.Succeeded},
		"a status of 60,000 digits":   {`{"code":1000,"data":{"wId":"i","status":` + strings.Repeat("9", 60_000) + `}}`, job.Succeeded},
		"a code of a million letters": {`{"code":"` + strings.Repeat("x", million) + `"}`, ambiguous},
		"a key of a million letters":  {`{"code":1000,"` + strings.Repeat("k", million) + `":1,"data":` + login + `}`, job.Succeeded},
		"a million members":           {`{"code":1000,"data":` + login + strings.Repeat(`,"a":1`, million) + `}`, ambiguous},
		"one key 10,000 times":        {`{"code":1000,"data":` + login + strings.Repeat(`,"m":""`, 9_000) + `}`, job.Succeeded},
		"white space without end":     {strings.Repeat(" ", 5*million) + `{"code":1001}`, ambiguous},
		"NUL in a text":               {"{\"code\":1001,\"msg\":\"a\x00b\"}", ambiguous},
		"NUL in a long text":          {"{\"code\":1001,\"msg\":\"" + strings.Repeat("x", million) + "\x00b\"}", ambiguous},
		"NUL behind":                  {"{\"code\":1001}\x00", ambiguous},
		"NUL alone":                   {strings.Repeat("\x00", million), ambiguous},
		"an escaped NUL":              {`{"code":1001,"msg":"a\u0000b"}`, job.Failed},
		"invalid UTF-8":               {`{"code":1001,"msg":"` + strings.Repeat("\xff", million) + `"}`, job.Failed},
		"half a long text":            {`{"code":1001,"msg":"` + strings.Repeat("x", million), ambiguous},
		"gzip":                        {"\x1f\x8b\x08\x00" + strings.Repeat("\xff", million), ambiguous},
		"over 4 MiB":                  {`{"code":1001,"msg":"` + strings.Repeat("x", 4*million) + `"}`, ambiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if reply := checkReply(t, []byte(tt.body), tt.want); tt.want != ambiguous {
				checkText(t, reply)
			}
		})
	}
}
