package gatewaytest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/relogin/relogin/worker/job"
)

const (
	hugeReply = 2 << 20
	wIDPrefix = "fake0000-"
)

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serving.RLock()
	defer g.serving.RUnlock()
	select {
	case <-g.done:
		panic(http.ErrAbortHandler)
	default:
		g.mux.ServeHTTP(w, r)
	}
}

// admit replies to callers who are not let in.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	status := g.down
	g.mu.Unlock()
	if want := g.options.Authorization; status == 0 && want != "" && r.Header.Get("Authorization") != want {
		status = http.StatusUnauthorized
	}
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
	}
	return status == 0
}

func (g *Gateway) secondLogin(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10)) // to the end: only then is it noticed that a caller hangs up
	if !g.admit(w, r) {
		return
	}
	var ask struct{ WcID, AID string }
	if err != nil || json.Unmarshal(body, &ask) != nil || ask.WcID == "" {
		http.Error(w, "the body is no JSON object with a wcId", http.StatusBadRequest)
		return
	}
	b, p := g.open(ask.WcID, ask.AID, r.Header.Get("Authorization"))
	var ended chan struct{} // nil for Hang: it never ends
	switch b.Fault {
	case "":
		ended = p.ended
	case Hang:
	default:
		fail(w, r, b.Fault)
		return
	}
	select {
	case <-ended:
		writeJSON(w, p.reply(b))
	case <-r.Context().Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		p.Gone = time.Now()
	case <-g.done:
		panic(http.ErrAbortHandler)
	}
}

// reply is the gateway's envelope.
type reply struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Data    any    `json:"data"`
}

// reply returns what the gateway says of a prompt that has ended.
func (p *openPrompt) reply(b Behaviour) reply {
	if p.Answer == Confirm {
		data := "FAKE-DATA-" + strings.Repeat(p.noise, 32)
		data += strings.Repeat("x", max(0, b.DataBytes-len(data)))
		return reply{"二次登录成功", "1000", job.Login{
			WcID: p.WcID, WID: wIDPrefix + p.noise, NickName: "fake " + p.WcID, HeadURL: "http://fake.invalid/head/0",
			Status: 2, Token: "FAKE-TOKEN-" + p.noise, Data: data,
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
func fail(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f {
	case Unauthorized, Busy, ServerError:
		status := map[Fault]int{Unauthorized: http.StatusUnauthorized, Busy: http.StatusServiceUnavailable, ServerError: http.StatusInternalServerError}[f]
		http.Error(w, http.StatusText(status), status)
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
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
}

func (g *Gateway) queryLoginWx(w http.ResponseWriter, r *http.Request) {
	if !g.admit(w, r) {
		return
	}
	if g.options.NoList {
		http.NotFound(w, r)
		return
	}
	list := []job.Login{}
	g.mu.Lock()
	for wcID, acc := range g.accounts {
		if acc.WID != "" {
			list = append(list, job.Login{WcID: wcID, WID: acc.WID})
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
