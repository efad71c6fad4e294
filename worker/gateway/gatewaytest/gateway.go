package gatewaytest

import (
	"context"
	"math/rand/v2"
	"net/http"
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
	mux      *http.ServeMux
	handlers sync.WaitGroup
	done     chan struct{} // closed by Close

	mu       sync.Mutex
	options  Options
	closed   bool
	down     int
	random   *rand.Rand
	accounts map[string]*account
	changed  chan struct{} // closed when a prompt opens or ends, and made anew
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
		changed:  make(chan struct{}),
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

// SetAuthorization changes what callers must send; empty: anything.
func (g *Gateway) SetAuthorization(authorization string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options.Authorization = authorization
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
	return g.Wait(ctx, wcID, func(a Account) bool { return a.Open > 0 })
}

// Wait blocks until what happened to the account fulfils the condition. When ctx ends
// first, it returns ctx's cause. The condition is asked under the gateway's lock.
func (g *Gateway) Wait(ctx context.Context, wcID string, condition func(Account) bool) error {
	for {
		g.mu.Lock()
		fulfilled, changed := condition(g.account(wcID).Account), g.changed
		g.mu.Unlock()
		if fulfilled {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close cuts off the callers that wait, and waits for their handlers. Open prompts stay
// open in the record. Requests that come later are cut off.
func (g *Gateway) Close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.done)
	}
	g.mu.Unlock()
	g.handlers.Wait()
}
