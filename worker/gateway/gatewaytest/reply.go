package gatewaytest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
)

// reply is the gateway's envelope.
type reply struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Data    any    `json:"data"`
}

type loginData struct {
	WcID     string `json:"wcId"`
	WID      string `json:"wId"`
	Data     string `json:"data"`
	NickName string `json:"nickName"`
	HeadURL  string `json:"headUrl"`
	Status   int    `json:"status"`
	Token    string `json:"token"`
}

type onlineEntry struct {
	WcID string `json:"wcId"`
	WID  string `json:"wId"`
}

// reply returns what the gateway says of a prompt that has ended.
func (g *Gateway) reply(wcID string, b Behaviour, p *openPrompt) reply {
	if p.answer == Confirm {
		data := "FAKE-DATA-" + g.noise(48)
		data += strings.Repeat("x", max(0, b.DataBytes-len(data)))
		return reply{"二次登录成功", "1000", loginData{
			WcID:     wcID,
			WID:      p.wID,
			Data:     data,
			NickName: "fake " + wcID,
			HeadURL:  "http://fake.invalid/head/0",
			Status:   2,
			Token:    "FAKE-TOKEN-" + g.noise(2),
		}}
	}
	failure := reply{"失败", "1001", nil}
	if p.answer == Scan {
		failure.Message = "二次登录失败，请重新扫码登录"
	}
	if b.Nested {
		return reply{"成功", "1000", failure}
	}
	return failure
}

// noise returns the base64 of so many random words.
func (g *Gateway) noise(words int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var raw []byte
	for range words {
		raw = binary.LittleEndian.AppendUint64(raw, g.random.Uint64())
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // fails only when the caller is gone
}
