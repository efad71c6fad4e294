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
	options  Options
	mux      *http.ServeMux
	handlers sync.WaitGroup
	done     chan struct{} // closed by Close

	mu            sync.Mutex
	closed        bool
	authorization string
	down          int
	random        *rand.Rand
	accounts      map[string]*account
	stats         Stats
	history       history
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
		options:       options,
		mux:           http.NewServeMux(),
		done:          make(chan struct{}),
		authorization: options.Authorization,
		random:        rand.New(rand.NewPCG(options.Seed, 0)),
		accounts:      map[string]*account{},
		stats:         Stats{Answers: map[Answer]int{}},
		history:       history{limit: options.KeepPrompts},
	}
	g.mux.HandleFunc("POST /secondLogin", g.secondLogin)
	g.mux.HandleFunc("POST /queryLoginWx", g.queryLoginWx)
	g.mux.HandleFunc("GET /stats", g.getStats)
	g.mux.HandleFunc("GET /prompts", g.getPrompts)
	return g
}

// Set says what the account's phone does from its next prompt on.
func (g *Gateway) Set(wcID string, b Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.account(wcID).behaviour = &b
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
	g.authorization = authorization
}

// Answer ends the account's oldest open prompt; false when none is open. [Ignore] lets
// it die at once.
func (g *Gateway) Answer(wcID string, a Answer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	acc, ok := g.accounts[wcID]
	if !ok || len(acc.prompts) == 0 {
		return false
	}
	g.end(acc.prompts[0], a)
	return true
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
	if acc, ok := g.accounts[wcID]; ok {
		return acc.Account
	}
	return Account{}
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
		acc := g.account(wcID)
		if condition(acc.Account) {
			g.mu.Unlock()
			return nil
		}
		if acc.changed == nil {
			acc.changed = make(chan struct{})
		}
		changed := acc.changed
		g.mu.Unlock()
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
	for _, acc := range g.accounts {
		for _, p := range acc.prompts {
			p.timer.Stop()
		}
	}
	g.mu.Unlock()
	g.handlers.Wait()
}

// enter counts a handler in, unless the gateway is closed.
func (g *Gateway) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.handlers.Add(1)
	}
	return !g.closed
}
