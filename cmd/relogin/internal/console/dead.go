package console

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/relogin/relogin/cmd/relogin/internal/letters"
	"github.com/relogin/relogin/queue"
	"github.com/relogin/relogin/worker/job"
)

const (
	maxIndexed = 200_000 // dead letters that are kept in mind, the newest ones: some hundred bytes each
	maxInterns = 10_000
)

// deadIndex is what the list of dead letters needs of each, without headers and bodies: reading them
// takes seconds when they are many, so that no page does it.
type deadIndex struct {
	letters []*queue.DeadLetter // the newest first
	groups  []*letters.Group    // of all letters
	total   int                 // with those that are too old for the index
	last    uint64              // the sequence of the newest
}

// deadPause is how long an index serves: reading keeps NATS busy for a small part of the time only.
func deadPause(took time.Duration) time.Duration { return max(deadEvery, 20*took) }

func (c *Console) readDead(ctx context.Context) (*deadIndex, error) {
	x := &deadIndex{}
	kinds, texts := letters.Groups{}, map[string]string{}
	for l, err := range c.Sources.Letters.All(ctx, queue.DeadLetterFilter{}) {
		if err != nil {
			return nil, err
		}
		kinds.Add(l)
		x.letters = append(x.letters, slim(l, texts))
		x.total, x.last = x.total+1, l.Sequence
		if len(x.letters) == 2*maxIndexed {
			x.letters = slices.Clone(x.letters[maxIndexed:])
		}
	}
	x.letters = x.letters[max(0, len(x.letters)-maxIndexed):]
	slices.Reverse(x.letters)
	x.groups = kinds.All()
	return x, nil
}

// slim returns what the list shows of a letter. Texts that many have are kept once.
func slim(l *queue.DeadLetter, texts map[string]string) *queue.DeadLetter {
	once := func(s string) string {
		if _, known := texts[s]; !known && len(texts) < maxInterns {
			texts[s] = s
		}
		if known, ok := texts[s]; ok {
			return known
		}
		return s
	}
	return &queue.DeadLetter{
		Sequence: l.Sequence, StoredAt: l.StoredAt, Lane: job.Lane(once(string(l.Lane))), Consumer: once(l.Consumer), Reason: once(strings.Clone(l.Reason)),
		JobID: cut(l.JobID, 1024), WcID: cut(l.WcID, 1024), Tenant: once(cut(l.Tenant, 1024)),
	}
}

// matching returns those that the filter chooses.
func (x *deadIndex) matching(f queue.DeadLetterFilter) []*queue.DeadLetter {
	if f == (queue.DeadLetterFilter{}) {
		return x.letters
	}
	var chosen []*queue.DeadLetter
	for _, l := range x.letters {
		if f.Matches(l) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}
