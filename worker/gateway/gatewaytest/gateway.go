package gatewaytest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// Options of a [Gateway]. The zero value is ready: everybody confirms at once.
type Options struct {
	ConfirmAfter  time.Duration            // how long people take to answer
	Jitter        time.Duration            // up to so much longer
	PromptLife    time.Duration            // how long a prompt lives that nobody answers; 5 minutes unless set
	Authorization string                   // what callers must send; empty: anything
	PromptLives   map[string]time.Duration // PromptLife for callers who send that Authorization
	NoList        bool                     // /queryLoginWx answers 404
	Seed          uint64                   // of jitter and logins
	KeepPrompts   int                      // how many prompts are remembered, the last ones; 1,000,000 unless set
}

// Gateway is the simulated gateway. It is safe for concurrent use.
type Gateway struct {
	options Options
	mux     *http.ServeMux
	serving sync.RWMutex // is read-locked by each handler
	closing sync.Once
	done    chan struct{} // closed by Close

	mu       sync.Mutex
	down     int
	random   *rand.Rand
	accounts map[string]*account
	opened   chan struct{} // closed when a prompt opens, and made anew
	stats    Stats
	prompts  []*Prompt // the last ones, oldest first
}

// New returns a gateway. The caller calls [Gateway.Close].
func New(options Options) *Gateway {
	if options.PromptLife == 0 {
		options.PromptLife = 5 * time.Minute
	}
	if options.KeepPrompts == 0 {
		options.KeepPrompts = 1_000_000
	}
	g := &Gateway{
		mux:      http.NewServeMux(),
		done:     make(chan struct{}),
		options:  options,
		random:   rand.New(rand.NewPCG(options.Seed, 0)),
		accounts: map[string]*account{},
		opened:   make(chan struct{}),
		stats:    Stats{Overlapping: []string{}, Answers: map[Answer]int{}},
	}
	g.mux.HandleFunc("POST /secondLogin", g.secondLogin)
	g.mux.HandleFunc("POST /queryLoginWx", g.queryLoginWx)
	g.mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.Stats()) })
	g.mux.HandleFunc("GET /prompts", g.getPrompts)
	return g
}

// Set says what the account's phone does from its next prompt on.
func (g *Gateway) Set(wcID string, b Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.account(wcID).behaviour = b
}

// SetDown makes every POST answer that HTTP status, and open no prompt; 0 ends it.
// Open prompts and their callers are not touched.
func (g *Gateway) SetDown(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = status
}

// Answer ends the account's oldest open prompt; false when none is open. [Ignore] lets
// it die at once.
func (g *Gateway) Answer(wcID string, a Answer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := g.account(wcID).open
	if len(open) > 0 {
		g.end(open[0], a)
	}
	return len(open) > 0
}

// Account is what happened to one account.
type Account struct {
	Prompts int    // ever
	Open    int    // now
	MaxOpen int    // the most at once
	WID     string // of the last login; empty: not logged in
}

// Account returns what happened to the account so far.
func (g *Gateway) Account(wcID string) Account {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.account(wcID).Account
}

// WaitOpen blocks until the account has an open prompt. When ctx ends first, it returns
// ctx's cause.
func (g *Gateway) WaitOpen(ctx context.Context, wcID string) error {
	for {
		g.mu.Lock()
		open, opened := g.account(wcID).Open, g.opened
		g.mu.Unlock()
		if open > 0 {
			return nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close cuts off the callers that wait, and waits for their handlers. Their prompts stay
// open. Requests that come later are cut off.
func (g *Gateway) Close() {
	g.closing.Do(func() { close(g.done) })
	g.serving.Lock() // once no handler holds it for reading
	defer g.serving.Unlock()
}

// Server is a [Gateway] that listens on a port of loopback.
type Server struct {
	*Gateway
	URL string // base address, without a slash at the end

	http *httptest.Server
}

// NewServer starts a server. It panics when it can't listen. The caller calls
// [Server.Close].
func NewServer(options Options) *Server {
	g := New(options)
	s := httptest.NewServer(g)
	return &Server{g, s.URL, s}
}

// Close closes all connections and the gateway, and waits for the handlers.
func (s *Server) Close() {
	s.Gateway.Close()
	s.http.Close()
}
