package gatewaytest

import (
	"slices"
	"time"
)

// history remembers the last prompts, limit of them.
type history struct {
	limit int
	next  int      // the number of the next prompt
	ring  []Prompt // number n is at n % limit
}

// add returns the prompt's number.
func (h *history) add(p Prompt) int {
	n := h.next
	h.next++
	if n < h.limit {
		h.ring = append(h.ring, p)
	} else {
		h.ring[n%h.limit] = p
	}
	return n
}

func (h *history) end(n int, a Answer) {
	if p := h.prompt(n); p != nil {
		p.End, p.Answer = time.Now(), a
	}
}

func (h *history) gone(n int) {
	if p := h.prompt(n); p != nil {
		p.Gone = time.Now()
	}
}

// prompt returns nil when it is forgotten.
func (h *history) prompt(n int) *Prompt {
	if h.next-n > h.limit {
		return nil
	}
	return &h.ring[n%h.limit]
}

func (h *history) all() []Prompt {
	oldest := 0
	if h.next > h.limit {
		oldest = h.next % h.limit
	}
	return slices.Concat(h.ring[oldest:], h.ring[:oldest])
}
