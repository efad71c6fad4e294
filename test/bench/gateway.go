package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// gatewayState is what the gateway tells of itself.
type gatewayState struct {
	Open  int64 `json:"open"`
	Calls int64 `json:"calls"`
}

// fakeGateway answers each call with a success: at once, after a set time, or, while it
// holds, when it is told to.
type fakeGateway struct {
	delay       atomic.Int64
	open, calls atomic.Int64

	mu   sync.Mutex
	hold chan struct{} // nil: it does not hold
}

// reply has the size of one that was captured from a real gateway.
var reply = []byte(`{"message":"二次登录成功","code":"1000","data":{"wcId":"@","wId":"00000170-7a73-4d24-0010-3e5f2a8f7be0","data":"` +
	string(bytes.Repeat([]byte("AQnJmn+EQouHFDbuyEmXDN1MPWMAfJbV"), 16)) +
	`","nickName":"微控Team","headUrl":"http://wx.qlogo.cn//ver_1/x/0","status":2,"token":"H7C6IwrQ5AyLSP0vFFGd8tg=="}}`)

// serveGateway is the gateway's process: its port and that of its controls are set in
// its environment.
func serveGateway() error {
	g := &fakeGateway{}
	mux := http.NewServeMux()
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(gatewayState{g.open.Load(), g.calls.Load()})
	})
	mux.HandleFunc("/delay", func(_ http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("d"))
		g.delay.Store(int64(d))
	})
	mux.HandleFunc("/hold", func(http.ResponseWriter, *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.hold = make(chan struct{})
	})
	mux.HandleFunc("/release", func(http.ResponseWriter, *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.hold)
		g.hold = nil
	})
	go func() { _ = http.ListenAndServe(os.Getenv("BENCH_CONTROL"), mux) }()
	server := &fasthttp.Server{Handler: g.handle, NoDefaultServerHeader: true, ReadBufferSize: 2048, WriteBufferSize: 2048}
	return server.ListenAndServe(os.Getenv("BENCH_GATEWAY"))
}

func (g *fakeGateway) handle(ctx *fasthttp.RequestCtx) {
	_, rest, _ := bytes.Cut(ctx.PostBody(), []byte(`"wcId":"`))
	wcID, _, _ := bytes.Cut(rest, []byte{'"'})
	g.calls.Add(1)
	g.open.Add(1)
	defer g.open.Add(-1)
	g.mu.Lock()
	hold := g.hold
	g.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if d := g.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	ctx.SetContentType("application/json;charset=UTF-8")
	before, after, _ := bytes.Cut(reply, []byte{'@'})
	body := ctx.Response.BodyWriter()
	for _, part := range [][]byte{before, wcID, after} {
		_, _ = body.Write(part)
	}
}

// control tells the gateway's process something.
func (l *lab) control(path string) error {
	resp, err := http.Get("http://" + l.gatewayControl + path)
	if err != nil {
		return fmt.Errorf("control gateway: %w", err)
	}
	return resp.Body.Close()
}

func (l *lab) gatewayState() (s gatewayState) {
	resp, err := http.Get("http://" + l.gatewayControl + "/state")
	if err == nil {
		defer resp.Body.Close()
		_ = json.NewDecoder(resp.Body).Decode(&s)
	}
	return s
}
