package queue

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readPause returns the pause that the bucket has.
func readPause(e jetstream.KeyValueEntry) *Pause {
	p, _ := parsePause(e.Key(), e.Value(), e.Created())
	return p
}

// parsePause returns the pause that was stored under the key at that time, and whether it can be read.
// One that can't counts, so that no phone asks that shall not: what it is about is told by its key,
// and one that does not tell that is about everything.
func parsePause(key string, value []byte, stored time.Time) (p *Pause, ok bool) {
	stored = stored.UTC()
	p = &Pause{}
	if err := json.Unmarshal(value, p); err != nil || p.Check() != nil || p.key() != key {
		return &Pause{Target: targetOf(key), At: stored, Reason: fmt.Sprintf("the entry %s of the bucket can't be read, and counts as a pause until it is resumed", key)}, false
	}
	if !p.Until.IsZero() { // of the operator's clock counts how long it is to last
		p.Until, p.At = stored.Add(p.Until.Sub(p.At)), stored
	}
	return p, true
}

func targetOf(key string) Target {
	scope, token, _ := strings.Cut(key, ".")
	name := token
	if encoded, ok := strings.CutPrefix(token, "="); ok {
		decoded, _ := base64.RawURLEncoding.DecodeString(encoded)
		name = string(decoded)
	}
	if t := (Target{Scope(scope), name}); t.Check() == nil && t.key() == key {
		return t
	}
	return Target{Scope: ScopeAll}
}

// loadPauses returns the pauses that the bucket has now, by their keys: those that match one of the
// patterns, or all.
func loadPauses(ctx context.Context, bucket jetstream.KeyValue, patterns ...string) (map[string]*Pause, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	watcher, err := bucket.WatchFiltered(ctx, patterns)
	if err != nil {
		return nil, err
	}
	defer endWatch(watcher)
	all := map[string]*Pause{}
	for {
		select {
		case entry, open := <-watcher.Updates():
			switch {
			case !open:
				return nil, nats.ErrConnectionClosed
			case entry == nil:
				return all, nil
			}
			note(all, entry)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

const loadTimeout = 30 * time.Second // a bucket of a million pauses takes some seconds

// note takes an entry of the bucket over.
func note(all map[string]*Pause, entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		delete(all, entry.Key())
		return
	}
	all[entry.Key()] = readPause(entry)
}

// endWatch ends the watch without waiting for the server, which may be away.
func endWatch(watcher jetstream.KeyWatcher) {
	go func() { _ = watcher.Stop() }() // fails when the connection is closed
	go func() {
		for range watcher.Updates() { // the library blocks on what is not read
		}
	}()
}
