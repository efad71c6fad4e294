package queue

import (
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// notices writes the log lines of a connection: one when it is lost, at most one a minute
// until it is back, and one then. Losses that follow within that minute are counted.
type notices struct {
	log    *slog.Logger
	errors seldom

	mu     sync.Mutex
	lost   time.Time // when the connection was lost; zero while it stands
	told   time.Time // of the last line about a loss
	losses int       // since one was told
}

func (n *notices) options() []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else the connection was closed
				n.down(err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { n.down(err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { n.up(nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			n.failed(subject, err)
		}),
	}
}

// down is called when the connection is lost, and again after each try to have it back.
func (n *notices) down(cause error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.lost.IsZero() {
		n.lost = now
		n.losses++
	}
	if now.Sub(n.told) < logEvery {
		return
	}
	n.log.Warn("connection to nats lost: jobs and events wait until it is back, and nothing that is stored is lost; see that the server runs and can be reached",
		"error", cause, "for", now.Sub(n.lost).Round(time.Second), "losses", n.losses)
	n.told, n.losses = now, 0
}

func (n *notices) up(url string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.lost.IsZero() && !n.told.Before(n.lost) {
		n.log.Info("connected to nats again: jobs go on", "url", url, "after", time.Since(n.lost).Round(time.Millisecond))
	}
	n.lost = time.Time{}
}

// failed is called with what the server says beside its answers.
func (n *notices) failed(subject string, err error) {
	times, ok := n.errors.write(subject + " " + err.Error())
	if !ok {
		return
	}
	attrs := []any{"error", err, "times", times}
	if subject != "" {
		attrs = append(attrs, "subject", subject)
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		n.log.Error("nats refused it: grant this user the permission named in the error", attrs...)
		return
	}
	n.log.Warn("nats reported an error", attrs...)
}

const (
	logEvery    = time.Minute
	maxNewLines = 16 // different ones a minute
)

// seldom bounds log lines that may repeat quickly: the same one is written once a minute,
// and so many different ones. The zero value is ready.
type seldom struct {
	mu    sync.Mutex
	lines map[string]*line
}

type line struct {
	at    time.Time // when it was written
	times int       // that it came since then
}

// write tells whether the line may be written now, and how often it came since it last was.
func (s *seldom) write(text string) (times int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	l := s.lines[text]
	if l == nil {
		if len(s.lines) >= maxNewLines {
			maps.DeleteFunc(s.lines, func(_ string, l *line) bool { return now.Sub(l.at) >= logEvery })
		}
		if len(s.lines) >= maxNewLines {
			return 0, false
		}
		if s.lines == nil {
			s.lines = map[string]*line{}
		}
		l = &line{}
		s.lines[text] = l
	}
	l.times++
	if now.Sub(l.at) < logEvery {
		return 0, false
	}
	times = l.times
	*l = line{at: now}
	return times, true
}
