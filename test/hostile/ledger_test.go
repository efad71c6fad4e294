//go:build linux

package hostile

import (
	"slices"
	"sync"
	"time"

	"github.com/relogin/relogin/worker/job"
)

// ends is how a message must end.
type ends struct {
	as       []job.Outcome // in an event with one of these; empty: in none of its own
	dead     bool          // in a dead letter, too
	orDead   bool          // or, in place of the event, in a dead letter
	optional bool          // or in nothing: somebody took it away
}

var (
	succeeds   = ends{as: []job.Outcome{job.Succeeded}}
	repeats    = ends{} // it is a job that is there already
	unreadable = ends{dead: true}
	isInvalid  = ends{as: []job.Outcome{job.Invalid}, dead: true}
	expires    = ends{as: []job.Outcome{job.Expired}}
)

func endsAs(outcomes ...job.Outcome) ends { return ends{as: outcomes} }

// posted is a message that the jobs stream has acknowledged.
type posted struct {
	wcID, jobID string
	seq         uint64
	at          time.Time // when it was published
	ends
	neighbour bool
	disturbed bool // the case had begun
}

// ledger is what upstream knows to be stored.
type ledger struct {
	mu     sync.Mutex
	all    []*posted
	forged map[uint64]bool // sequences of the events stream that somebody else published
}

func (l *ledger) add(p *posted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p)
}

func (l *ledger) forge(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.forged == nil {
		l.forged = map[uint64]bool{}
	}
	l.forged[seq] = true
}

func (l *ledger) snapshot() []*posted {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}
