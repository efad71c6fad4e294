package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/relogin/relogin/worker/job"
)

const (
	reloadEvery = 10 * time.Minute // about how often all is read again, whatever has been missed
	reloadRetry = time.Second      // after a failure to read it
	watchSoon   = 10 * time.Second // how long the server gets to begin the watch
)

// PauseWatch knows what is paused in a namespace. It implements worker.Pauses, and is safe for
// concurrent use. While NATS can't be reached it goes by what it knew last.
type PauseWatch struct {
	client
	bucket   jetstream.KeyValue
	log      *slog.Logger
	failures seldom
	heard    chan string // the keys of changes that were heard of, and that the watch may miss

	mu    sync.Mutex
	holds map[string]*hold // by the pause's key in the bucket
	all   map[string]*hold // those of them that are about everything
}

// hold is a pause, and how those learn that it is over who wait for that.
type hold struct {
	*Pause
	lifted chan struct{} // closed when it is over, or has changed
	end    *time.Timer   // nil: it does not end by itself
}

// WatchPauses returns what is paused in the namespace; an empty one is the default. It blocks
// until it has read that, for at most half a minute: who can't read it does not know whether
// phones may ask. [PauseWatch.Run] follows the changes. The connection stays the caller's. A
// nil logger logs nothing.
func WatchPauses(ctx context.Context, nc *nats.Conn, namespace string, log *slog.Logger) (*PauseWatch, error) {
	c, err := OpenControl(ctx, nc, namespace)
	if err != nil {
		return nil, fmt.Errorf("watch pauses: %w", err)
	}
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	w := &PauseWatch{client: c.client, bucket: c.bucket, log: log, holds: map[string]*hold{}, all: map[string]*hold{}, heard: make(chan string, heardRoom)}
	pauses, err := loadPauses(ctx, c.bucket)
	if err != nil {
		return nil, fmt.Errorf("read what is paused from bucket %s: %w", c.names.control(), withPermissionHint(nc, err))
	}
	w.adopt(pauses)
	return w, nil
}

// Paused returns nil when a job of that lane, tenant and account may make its phone ask. When it
// is paused, the result is a channel that is closed once the pause is over or has changed: ask
// again then. An empty tenant or account is that of no job. It does not block.
func (w *PauseWatch) Paused(lane job.Lane, tenant, wcID string) (lifted <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.all {
		return h.lifted
	}
	if len(w.holds) == 0 { // as nearly always
		return nil
	}
	for _, t := range [...]Target{{ScopeLane, string(lane)}, {ScopeTenant, tenant}, {ScopeAccount, wcID}} {
		if h := w.holds[t.key()]; h != nil {
			return h.lifted
		}
	}
	return nil
}

// Counts returns how many pauses there are of each scope. It does not block.
func (w *PauseWatch) Counts() map[Scope]int {
	counts := map[Scope]int{ScopeAll: 0, ScopeLane: 0, ScopeTenant: 0, ScopeAccount: 0}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.holds {
		counts[h.Scope]++
	}
	return counts
}

// Run follows what is paused and resumed. It blocks until ctx ends.
func (w *PauseWatch) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { w.listen(ctx) })
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if times, ok := w.failures.write(""); ok {
			w.log.WarnContext(ctx, "reading what is paused fails: this pod goes by what it knew before; see that NATS and the bucket work",
				"bucket", w.names.control(), "error", withPermissionHint(w.nc, err), "times", times)
		}
		select {
		case <-time.After(reloadRetry):
		case <-ctx.Done():
		}
	}
}

// follow reads all pauses, and then takes over what changes. It blocks until it is time to
// read all again: after a reconnection, too, for what has changed meanwhile may never come.
func (w *PauseWatch) follow(ctx context.Context) error {
	connected := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(connected)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slow := time.AfterFunc(watchSoon, cancel) // without a quorum there is no answer
	watcher, err := w.bucket.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer endWatch(watcher)
	slow.Stop()
	reload := time.NewTimer(reloadEvery/2 + rand.N(reloadEvery))
	defer reload.Stop()
	loading, changes := map[string]*Pause{}, newChanges()
	for {
		select {
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return errors.New("the subscription to the bucket has ended")
			case entry == nil:
				w.adopt(loading)
				loading = nil
				continue
			case loading != nil:
				note(loading, entry)
			default:
				w.change(entry)
				changes.came(entry.Key())
			}
		case key := <-w.heard:
			changes.heard(key)
		case <-changes.overdue.C:
			if len(changes.awaited) > 0 {
				return nil
			}
		case <-connected:
			return nil
		case <-reload.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// adopt takes these for all the pauses that there are.
func (w *PauseWatch) adopt(all map[string]*Pause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range maps.Clone(w.holds) {
		if all[key] == nil {
			w.lift(key)
		}
	}
	for key, p := range all {
		w.hold(key, p)
	}
}

func (w *PauseWatch) change(entry jetstream.KeyValueEntry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if entry.Operation() != jetstream.KeyValuePut {
		w.lift(entry.Key())
		return
	}
	w.hold(entry.Key(), readPause(entry))
}

// hold has the pause count from now on, in place of one that had its key. w.mu is held.
func (w *PauseWatch) hold(key string, p *Pause) {
	before := w.holds[key]
	switch {
	case p.over():
		w.lift(key)
		return
	case before != nil && *before.Pause == *p:
		return
	case before != nil:
		w.drop(key)
	}
	h := &hold{Pause: p, lifted: make(chan struct{})}
	if !p.Until.IsZero() {
		h.end = time.AfterFunc(time.Until(p.Until), func() { w.endByItself(key, h) })
	}
	w.holds[key] = h
	if p.Scope == ScopeAll {
		w.all[key] = h
	}
	attrs := []any{"by", p.By, "reason", p.Reason}
	if !p.Until.IsZero() {
		attrs = append(attrs, "until", p.Until)
	}
	w.tell(p, "paused by a person: jobs wait, and no phone asks", attrs...)
}

// lift has the pause count no longer, if there is one. w.mu is held.
func (w *PauseWatch) lift(key string) {
	if h := w.holds[key]; h != nil {
		w.drop(key)
		w.tell(h.Pause, "resumed: jobs go on, unless something else is paused that they belong to")
	}
}

// drop is called with w.mu held.
func (w *PauseWatch) drop(key string) {
	h := w.holds[key]
	if h.end != nil {
		h.end.Stop()
	}
	delete(w.holds, key)
	delete(w.all, key)
	close(h.lifted)
}

// endByItself lifts a pause whose time has come by the wall clock, which may have been set since.
func (w *PauseWatch) endByItself(key string, h *hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.holds[key] != h:
	case h.over():
		w.lift(key)
	default:
		h.end.Reset(time.Until(h.Until))
	}
}

// tell logs what becomes of a pause. Accounts may be many.
func (w *PauseWatch) tell(p *Pause, message string, args ...any) {
	level := slog.LevelWarn
	if p.Scope == ScopeAccount {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, message, append([]any{"what", p.Target.String()}, args...)...)
}
