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

// readPause returns the pause that the bucket has under the key. One that can't be read counts,
// so that no phone asks that shall not: what it is about is told by the key, and one that
// does not tell that is about everything.
func readPause(key string, value []byte) *Pause {
	p := &Pause{}
	if err := json.Unmarshal(value, p); err != nil || p.Check() != nil || p.key() != key {
		p = &Pause{Target: targetOf(key), Reason: fmt.Sprintf("the entry %s can't be read, and counts as a pause until it is deleted: nats kv del <NAMESPACE>_CONTROL %[1]s", key)}
	}
	return p
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
	all[entry.Key()] = readPause(entry.Key(), entry.Value())
}

// endWatch ends the watch without waiting for the server, which may be away.
func endWatch(watcher jetstream.KeyWatcher) {
	go func() { _ = watcher.Stop() }() // fails when the connection is closed
	go func() {
		for range watcher.Updates() { // the library blocks on what is not read
		}
	}()
}
