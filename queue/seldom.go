package queue

import (
	"maps"
	"sync"
	"time"
)

const (
	logEvery    = time.Minute
	maxNewLines = 16 // different ones a minute
)

// seldom bounds log lines that may repeat quickly: the same one is written once a minute,
// and so many different ones. The zero value is ready.
type seldom struct {
	mu    sync.Mutex
	lines map[string]line
}

type line struct {
	at    time.Time // when it was written
	times int       // that it came since then
}

// write tells whether the line may be written now, and how often it came since it was
// written before, this time included.
func (s *seldom) write(text string) (times int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	l, known := s.lines[text]
	if !known && len(s.lines) >= maxNewLines {
		maps.DeleteFunc(s.lines, func(_ string, l line) bool { return now.Sub(l.at) >= logEvery })
		if len(s.lines) >= maxNewLines {
			return 0, false
		}
	}
	if s.lines == nil {
		s.lines = map[string]line{}
	}
	l.times++
	if known && now.Sub(l.at) < logEvery {
		s.lines[text] = l
		return 0, false
	}
	s.lines[text] = line{at: now}
	return l.times, true
}
