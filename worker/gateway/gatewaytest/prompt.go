package gatewaytest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// maxOverlapping bounds Stats.Overlapping.
const maxOverlapping = 100

// Stats are the totals.
type Stats struct {
	Requests          int            `json:"requests"`          // to /secondLogin
	Prompts           int            `json:"prompts"`           // ever
	Open              int            `json:"open"`              // now
	MaxOpen           int            `json:"maxOpen"`           // the most at once, all accounts together
	MaxOpenPerAccount int            `json:"maxOpenPerAccount"` // the most at once on one phone: 1 when all is well
	Overlaps          int            `json:"overlaps"`          // accounts that had more than one at once
	Overlapping       []string       `json:"overlapping"`       // the first hundred of them
	Accounts          int            `json:"accounts"`          // that ever had a prompt
	Online            int            `json:"online"`            // that are logged in
	Answers           map[Answer]int `json:"answers"`           // how prompts ended
}

// Prompt is one prompt, from its request to its answer.
type Prompt struct {
	WcID   string    `json:"wcId"`
	AID    string    `json:"aid,omitempty"` // as the caller sent it
	Start  time.Time `json:"start"`
	Gone   time.Time `json:"gone,omitzero"`    // when the caller hung up; zero: it did not
	End    time.Time `json:"end,omitzero"`     // zero: open
	Answer Answer    `json:"answer,omitempty"` // empty: open
}

type account struct {
	Account
	behaviour *Behaviour    // nil: by its name
	prompts   []*openPrompt // oldest first
	changed   chan struct{} // closed at the next change; nil: nobody waits
}

type openPrompt struct {
	account *account
	number  int // in the history
	timer   *time.Timer
	ended   chan struct{} // closed at the end; the fields below are set before
	answer  Answer
	wID     string
}

// account returns the account, a new one if need be. The lock is held.
func (g *Gateway) account(wcID string) *account {
	acc, ok := g.accounts[wcID]
	if !ok {
		acc = &account{}
		g.accounts[wcID] = acc
	}
	return acc
}

func (g *Gateway) behaviour(wcID string) Behaviour {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Requests++
	if b := g.account(wcID).behaviour; b != nil {
		return *b
	}
	return behaviourOf(wcID)
}

// life is how long a prompt of the request's can live.
func (g *Gateway) life(r *http.Request) time.Duration {
	return cmp.Or(g.options.PromptLives[r.Header.Get("Authorization")], g.options.PromptLife)
}

// open makes the account's phone ask, for as long as life unless somebody answers.
func (g *Gateway) open(wcID, aid string, b Behaviour, life time.Duration) *openPrompt {
	g.mu.Lock()
	defer g.mu.Unlock()
	acc := g.account(wcID)
	p := &openPrompt{account: acc, ended: make(chan struct{})}
	p.number = g.history.add(Prompt{WcID: wcID, AID: aid, Start: time.Now()})
	acc.prompts = append(acc.prompts, p)
	g.count(wcID, acc)
	answer, after := g.reaction(b, life)
	p.timer = time.AfterFunc(after, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.end(p, answer)
	})
	if g.closed {
		p.timer.Stop()
	}
	acc.announce()
	return p
}

// count counts a new prompt.
func (g *Gateway) count(wcID string, acc *account) {
	acc.Prompts++
	acc.Open++
	if acc.Prompts == 1 {
		g.stats.Accounts++
	}
	if acc.Open == 2 && acc.MaxOpen < 2 {
		g.stats.Overlaps++
		if len(g.stats.Overlapping) < maxOverlapping {
			g.stats.Overlapping = append(g.stats.Overlapping, wcID)
		}
	}
	acc.MaxOpen = max(acc.MaxOpen, acc.Open)
	s := &g.stats
	s.Prompts++
	s.Open++
	s.MaxOpen = max(s.MaxOpen, s.Open)
	s.MaxOpenPerAccount = max(s.MaxOpenPerAccount, acc.Open)
}

// reaction returns how and when the prompt ends by itself.
func (g *Gateway) reaction(b Behaviour, life time.Duration) (Answer, time.Duration) {
	after := b.After
	if after == 0 {
		after = g.options.ConfirmAfter
		if g.options.Jitter > 0 {
			after += time.Duration(g.random.Int64N(int64(g.options.Jitter)))
		}
	}
	switch {
	case b.Manual || b.Answer == Ignore || after >= life:
		return Ignore, life
	case b.Answer == "":
		return Confirm, after
	default:
		return b.Answer, after
	}
}

// hungUp notes that nobody waits for the prompt's answer any more.
func (g *Gateway) hungUp(p *openPrompt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.history.gone(p.number)
}

// end ends the prompt, once. The lock is held.
func (g *Gateway) end(p *openPrompt, a Answer) {
	if p.answer != "" {
		return
	}
	p.timer.Stop()
	p.answer = a
	acc := p.account
	acc.prompts = slices.DeleteFunc(acc.prompts, func(o *openPrompt) bool { return o == p })
	acc.Open--
	g.stats.Open--
	g.stats.Answers[a]++
	g.history.end(p.number, a)
	if a == Confirm {
		if acc.WID == "" {
			g.stats.Online++
		}
		p.wID = fmt.Sprintf("fake0000-%016x", g.random.Uint64())
		acc.WID = p.wID
	}
	close(p.ended)
	acc.announce()
}

func (a *account) announce() {
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
}

// Stats returns the totals.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Overlapping = append([]string{}, s.Overlapping...)
	s.Answers = map[Answer]int{}
	for a, n := range g.stats.Answers {
		s.Answers[a] = n
	}
	return s
}

// Prompts returns the prompts that are remembered, oldest first.
func (g *Gateway) Prompts() []Prompt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.history.all()
}
