package gatewaytest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
)

const (
	maxRequest = 64 << 10
	hugeReply  = 2 << 20
)

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.enter() {
		panic(http.ErrAbortHandler)
	}
	defer g.handlers.Done()
	g.mux.ServeHTTP(w, r)
}

// admit replies to callers who are not let in.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	down, authorization := g.down, g.authorization
	g.mu.Unlock()
	switch {
	case down != 0:
		http.Error(w, http.StatusText(down), down)
	case authorization != "" && r.Header.Get("Authorization") != authorization:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	default:
		return true
	}
	return false
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
	var ask struct {
		WcID string `json:"wcId"`
		AID  string `json:"aid"`
	}
	if err := json.Unmarshal(body, &ask); err != nil || ask.WcID == "" {
		http.Error(w, "the body is no JSON object with a wcId", http.StatusBadRequest)
		return
	}
	b := g.behaviour(ask.WcID)
	switch b.Fault {
	case Unauthorized:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	case Busy:
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	p := g.open(ask.WcID, ask.AID, b, g.life(r))
	if b.Fault != NoFault {
		g.fail(w, r, b.Fault)
		return
	}
	select {
	case <-p.ended:
		writeJSON(w, g.reply(ask.WcID, b, p))
	case <-r.Context().Done():
		g.hungUp(p)
	case <-g.done:
		panic(http.ErrAbortHandler)
	}
}

// fail replies in the way of the fault, or not at all.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f {
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
	list := []onlineEntry{}
	g.mu.Lock()
	for wcID, acc := range g.accounts {
		if acc.WID != "" {
			list = append(list, onlineEntry{wcID, acc.WID})
		}
	}
	g.mu.Unlock()
	writeJSON(w, reply{Message: "成功", Code: "1000", Data: list})
}

func (g *Gateway) getStats(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.Stats()) }

func (g *Gateway) getPrompts(w http.ResponseWriter, r *http.Request) {
	wcID := r.URL.Query().Get("wcId")
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	for _, p := range g.Prompts() {
		if wcID != "" && p.WcID != wcID {
			continue
		}
		if lines.Encode(p) != nil {
			return // the caller is gone
		}
	}
	_ = out.Flush()
}
