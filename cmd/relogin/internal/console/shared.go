package console

import (
	"context"
	"errors"
	"sync"
	"time"
)

// shared is a reading that all who look share. It is refreshed only when somebody asks for it, by one
// goroutine at a time.
type shared[T any] struct {
	in    *background
	load  func(context.Context) (T, error)
	fresh func(took time.Duration) time.Duration // how long a reading that took so long serves

	mu      sync.Mutex
	changes int // how often it was outdated
	last    reading[T]
	loading chan struct{} // closed once the reading that is under way is there; nil: none is
}

// reading is what was read, and when. A zero time is none.
type reading[T any] struct {
	value T
	err   error
	at    time.Time
	took  time.Duration

	changes int // as they were when it began
}

// readTimeout is how long one reading may take.
const readTimeout = time.Minute

var (
	errStillReading = errors.New("it is being read")
	errClosed       = errors.New("the console ends")
)

func newShared[T any](in *background, fresh func(time.Duration) time.Duration, load func(context.Context) (T, error)) *shared[T] {
	return &shared[T]{in: in, fresh: fresh, load: load}
}

func always(d time.Duration) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return d }
}

// get returns the last reading. One that is too old is read anew: get waits for that, but where an
// older one is there no longer than the patience, and returns that then. Without any it returns
// errStillReading after the patience.
func (s *shared[T]) get(ctx context.Context, patience time.Duration) (reading[T], error) {
	s.mu.Lock()
	last := s.last
	if !last.at.IsZero() && last.changes == s.changes && time.Since(last.at) < s.fresh(last.took) {
		s.mu.Unlock()
		return last, last.err
	}
	if s.loading == nil {
		done := make(chan struct{})
		changes := s.changes
		if !s.in.start(func(ctx context.Context) { s.read(ctx, changes, done) }) {
			s.mu.Unlock()
			return last, errClosed
		}
		s.loading = done
	}
	done := s.loading
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.last, s.last.err
	case <-timer.C:
		if last.at.IsZero() {
			return last, errStillReading
		}
		return last, last.err
	case <-ctx.Done():
		return last, context.Cause(ctx)
	}
}

func (s *shared[T]) read(ctx context.Context, changes int, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	from := time.Now()
	value, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = reading[T]{value, err, time.Now(), time.Since(from), changes}
	s.loading = nil
	close(done)
}

// outdate has a new reading begin with the next one who asks, since something was changed.
func (s *shared[T]) outdate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
}
