package worker

import (
	"cmp"
	"log/slog"
	"sync"
	"time"
)

const (
	tellAgain = time.Minute // between two lines about the same outage
	totalFrom = time.Second // without a success, and something fails for all
)

// outage tells people of something that many jobs need: one line when it starts to fail,
// at most one a minute while it does, and one when it works again. Each job's own
// failures are logged for debugging alone.
type outage struct {
	log   *slog.Logger
	fails string // is logged when it fails: what that means, and what to do
	works string // is logged when it works again

	mu     sync.Mutex
	since  time.Time // the first failure after the last success; zero: it works
	logged time.Time // the last line
	count  int       // failures since the last line
}

func (o *outage) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.since = cmp.Or(o.since, now)
	o.count++
	if now.Sub(o.logged) < tellAgain {
		return
	}
	o.log.Warn(o.fails, "error", err, "failures", o.count, "for", now.Sub(o.since).Round(time.Second))
	o.logged, o.count = now, 0
}

func (o *outage) worked() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() && !o.logged.Before(o.since) {
		o.log.Info(o.works, "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.since = time.Time{}
}

// total tells whether nothing has worked for a while.
func (o *outage) total() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() && time.Since(o.since) >= totalFrom
}

type outages struct {
	store, quarantine, events, letters, jobs, sending outage
}

func newOutages(log *slog.Logger) *outages {
	return &outages{
		store: outage{log: log, fails: "asking Redis fails: jobs wait and try again, and nothing is lost; see that Redis works",
			works: "Redis answers again: jobs go on"},
		quarantine: outage{log: log, fails: "Redis may have lost locks: no confirmation starts until the locks that it may have forgotten have ended",
			works: "Redis is trusted again: confirmations start"},
		events: outage{log: log, fails: "storing events fails: jobs that have ended wait and try again, and nothing is lost; see that NATS and its events stream work",
			works: "events are stored again"},
		letters: outage{log: log, fails: "storing dead letters fails: jobs that can't be worked on wait and try again, and nothing is lost; see that NATS and its dead stream work, and that the stream is not full",
			works: "dead letters are stored again"},
		jobs: outage{log: log, fails: "taking jobs fails: they stay in the queue; see that NATS and its jobs stream work",
			works: "jobs are taken again"},
		sending: outage{log: log, fails: "requests are not sent within --send-window after their account was locked: they try again later; is this pod short of CPU, or the gateway slow to connect to?",
			works: "requests are sent in time again"},
	}
}

// total tells whether something fails for all jobs, so that taking many of them is wrong.
func (o *outages) total() bool { return o.store.total() || o.quarantine.total() || o.events.total() }
