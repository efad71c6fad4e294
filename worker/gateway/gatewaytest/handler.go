package gatewaytest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	maxRequest = 64 << 10
	hugeReply  = 2 << 20
	wIDPrefix  = "fake0000-"
)

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	closed := g.closed
	if !closed {
		g.handlers.Add(1)
	}
	g.mu.Unlock()
	if closed {
		panic(http.ErrAbortHandler)
	}
	defer g.handlers.Done()
	g.mux.ServeHTTP(w, r)
}

// admit replies to callers who are not let in.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	status, authorization := g.down, g.options.Authorization
	g.mu.Unlock()
	if status == 0 && authorization != "" && r.Header.Get("Authorization") != authorization {
		status = http.StatusUnauthorized
	}
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
	}
	return status == 0
}

func (g *Gateway) secondLogin(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "unreadable body", http.StatusBadRequest)
		return
	}
	if !g.admit(w, r) {
		return
	}
	var ask struct{ WcID, AID string }
	if err := json.Unmarshal(body, &ask); err != nil || ask.WcID == "" {
		http.Error(w, "the body is no JSON object with a wcId", http.StatusBadRequest)
		return
	}
	b, p := g.request(ask.WcID, ask.AID, r.Header.Get("Authorization"))
	if b.Fault != NoFault {
		g.fail(w, r, b.Fault)
		return
	}
	select {
	case <-p.ended:
		writeJSON(w, p.reply(b))
	case <-r.Context().Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		p.Gone = time.Now()
	case <-g.done:
		panic(http.ErrAbortHandler)
	}
}

// request returns what the account's phone does, and the prompt unless the fault forbids one.
func (g *Gateway) request(wcID, aid, authorization string) (Behaviour, *openPrompt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Requests++
	b := g.account(wcID).behaviour
	if b.Fault == Unauthorized || b.Fault == Busy {
		return b, nil
	}
	life, ok := g.options.PromptLives[authorization]
	if !ok {
		life = g.options.PromptLife
	}
	return b, g.open(wcID, aid, life)
}

// reply is the gateway's envelope.
type reply struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Data    any    `json:"data"`
}

// loginData is a login. In the list of who is online it has the ids alone.
type loginData struct {
	WcID     string `json:"wcId"`
	WID      string `json:"wId"`
	Data     string `json:"data,omitempty"`
	NickName string `json:"nickName,omitempty"`
	HeadURL  string `json:"headUrl,omitempty"`
	Status   int    `json:"status,omitempty"`
	Token    string `json:"token,omitempty"`
}

// reply returns what the gateway says of a prompt that has ended.
func (p *openPrompt) reply(b Behaviour) reply {
	if p.Answer == Confirm {
		data := "FAKE-DATA-" + strings.Repeat(p.noise, 32)
		data += strings.Repeat("x", max(0, b.DataBytes-len(data)))
		return reply{"二次登录成功", "1000", loginData{
			WcID:     p.WcID,
			WID:      wIDPrefix + p.noise,
			Data:     data,
			NickName: "fake " + p.WcID,
			HeadURL:  "http://fake.invalid/head/0",
			Status:   2,
			Token:    "FAKE-TOKEN-" + p.noise,
		}}
	}
	failure := reply{"失败", "1001", nil}
	if p.Answer == Scan {
		failure.Message = "二次登录失败，请重新扫码登录"
	}
	if b.Nested {
		return reply{"成功", "1000", failure}
	}
	return failure
}

// fail replies in the way of the fault, or not at all.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f {
	case Unauthorized:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case Busy:
		http.Error(w, "busy", http.StatusServiceUnavailable)
	case ServerError:
		http.Error(w, "internal server error", http.StatusInternalServerError)
	case Redirect:
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	case Garbage:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><body><h1>Welcome to the fake gateway</h1></body></html>")
	case Huge:
		writeJSON(w, reply{Code: "1000", Message: strings.Repeat("x", hugeReply)})
	case Half:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "600")
		_, _ = io.WriteString(w, `{"message":"二次登录成功","code":"1000","data":{"wcId":"fake","token":"FAKE-TOKEN`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case Reset:
		resetConnection(w)
	case Hang:
		select {
		case <-r.Context().Done():
		case <-g.done:
			panic(http.ErrAbortHandler)
		}
	}
}

// resetConnection ends the connection with a TCP reset, where there is one to end.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (g *Gateway) queryLoginWx(w http.ResponseWriter, r *http.Request) {
	if !g.admit(w, r) {
		return
	}
	if g.options.NoList {
		http.NotFound(w, r)
		return
	}
	list := []loginData{}
	g.mu.Lock()
	for wcID, acc := range g.accounts {
		if acc.WID != "" {
			list = append(list, loginData{WcID: wcID, WID: acc.WID})
		}
	}
	g.mu.Unlock()
	writeJSON(w, reply{Message: "成功", Code: "1000", Data: list})
}

func (g *Gateway) getPrompts(w http.ResponseWriter, r *http.Request) {
	wcID := r.URL.Query().Get("wcId")
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for _, p := range g.Prompts() {
		if (wcID == "" || p.WcID == wcID) && lines.Encode(p) != nil {
			return // the caller is gone
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // fails only when the caller is gone
}
