package gatewaytest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

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

// Stats returns the totals.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Overlapping, s.Answers = slices.Clone(s.Overlapping), maps.Clone(s.Answers)
	return s
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

// Prompts returns the prompts that are remembered, oldest first.
func (g *Gateway) Prompts() []Prompt {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Prompt, len(g.prompts))
	for i, p := range g.prompts {
		all[i] = *p
	}
	return all
}

// account is an account and its phone.
type account struct {
	Account
	behaviour Behaviour
	open      []*openPrompt // oldest first
}

// openPrompt is a prompt and what ends it. Its caller may read it once it has ended.
type openPrompt struct {
	*Prompt
	timer *time.Timer
	ended chan struct{} // closed at the end
	noise string        // of the login that it gives
}

// account returns the account, a new one if need be. The lock is held.
func (g *Gateway) account(wcID string) *account {
	acc, ok := g.accounts[wcID]
	if !ok {
		acc = &account{behaviour: behaviourOf(wcID)}
		g.accounts[wcID] = acc
	}
	return acc
}

// open makes the account's phone ask, unless the fault forbids that. It returns what the
// phone and the gateway do.
func (g *Gateway) open(wcID, aid, authorization string) (Behaviour, *openPrompt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Requests++
	acc := g.account(wcID)
	b := acc.behaviour
	if b.Fault == Unauthorized || b.Fault == Busy {
		return b, nil
	}
	p := &openPrompt{Prompt: &Prompt{WcID: wcID, AID: aid, Start: time.Now()}, ended: make(chan struct{})}
	acc.open = append(acc.open, p)
	if len(g.prompts) == g.options.KeepPrompts {
		g.prompts = g.prompts[1:]
	}
	g.prompts = append(g.prompts, p.Prompt)
	g.count(wcID, acc)
	life, ok := g.options.PromptLives[authorization]
	if !ok {
		life = g.options.PromptLife
	}
	answer, after := g.reaction(b, life)
	p.timer = time.AfterFunc(after, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.end(p, answer)
	})
	return b, p
}

// count counts a new prompt.
func (g *Gateway) count(wcID string, acc *account) {
	acc.Prompts++
	acc.Open++
	s := &g.stats
	if acc.Prompts == 1 {
		s.Accounts++
	}
	if acc.Open == 2 && acc.MaxOpen < 2 {
		s.Overlaps++
		if len(s.Overlapping) < 100 {
			s.Overlapping = append(s.Overlapping, wcID)
		}
	}
	s.Prompts++
	s.Open++
	acc.MaxOpen = max(acc.MaxOpen, acc.Open)
	s.MaxOpen = max(s.MaxOpen, s.Open)
	s.MaxOpenPerAccount = max(s.MaxOpenPerAccount, acc.Open)
	close(g.opened)
	g.opened = make(chan struct{})
}

// reaction returns how and when a prompt ends by itself.
func (g *Gateway) reaction(b Behaviour, life time.Duration) (Answer, time.Duration) {
	after := b.After
	if after == 0 {
		after = g.options.ConfirmAfter
		if g.options.Jitter > 0 {
			after += time.Duration(g.random.Int64N(int64(g.options.Jitter)))
		}
	}
	if b.Manual || b.Answer == Ignore || after >= life {
		return Ignore, life
	}
	return cmp.Or(b.Answer, Confirm), after
}

// end ends the prompt, once. The lock is held.
func (g *Gateway) end(p *openPrompt, a Answer) {
	if p.Answer != "" {
		return
	}
	p.timer.Stop()
	p.End, p.Answer = time.Now(), a
	acc := g.account(p.WcID)
	acc.open = slices.DeleteFunc(acc.open, func(o *openPrompt) bool { return o == p })
	acc.Open--
	g.stats.Open--
	g.stats.Answers[a]++
	if a == Confirm {
		if acc.WID == "" {
			g.stats.Online++
		}
		p.noise = fmt.Sprintf("%016x", g.random.Uint64())
		acc.WID = wIDPrefix + p.noise
	}
	close(p.ended)
}
