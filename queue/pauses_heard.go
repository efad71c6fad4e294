package queue

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// heardRoom is how many changes may be heard of that were not looked at yet. One that does not fit
// comes by the watch.
const heardRoom = 1 << 12

// listen hears of changes on their way to the bucket, until ctx ends. The watch is fed by a consumer,
// whose server may have died unnoticed; what is on its way comes to every pod that is connected. So
// a pause counts at once, and the watch has to bring it soon, or all is read again: then it is
// seen whether it was stored. What can't be read counts only once it is.
func (w *PauseWatch) listen(ctx context.Context) {
	prefix, changes := "$KV."+w.names.control()+".", make(chan *nats.Msg, heardRoom)
	sub, err := w.nc.ChanSubscribe(prefix+">", changes)
	if err != nil {
		return // the connection is closed
	}
	defer func() { _ = sub.Unsubscribe() }() // fails when the connection is closed
	for {
		select {
		case msg := <-changes:
			key := strings.TrimPrefix(msg.Subject, prefix)
			if p, ok := parsePause(key, msg.Data, time.Now()); ok && msg.Header.Get("KV-Operation") == "" {
				w.mu.Lock()
				w.hold(key, p)
				w.mu.Unlock()
			}
			select {
			case w.heard <- key:
			default: // so many others have it looked at
			}
		case <-ctx.Done():
			return
		}
	}
}

// changes tells whether the watch brings what is heard of, which may come first or second.
type changes struct {
	awaited map[string]bool      // heard of, by key, and not brought yet
	early   map[string]time.Time // brought, and not heard of yet
	overdue *time.Timer          // fires once the first of those awaited should have come
}

func newChanges() *changes {
	overdue := time.NewTimer(reloadEvery)
	overdue.Stop()
	return &changes{map[string]bool{}, map[string]time.Time{}, overdue}
}

func (c *changes) heard(key string) {
	at, early := c.early[key]
	delete(c.early, key)
	if early && time.Since(at) < reloadRetry {
		return
	}
	if len(c.awaited) == 0 {
		c.overdue.Reset(reloadRetry)
	}
	c.awaited[key] = true
}

func (c *changes) came(key string) {
	if c.awaited[key] {
		delete(c.awaited, key)
		return
	}
	if len(c.early) == heardRoom { // of some, such as those that the server lets expire, nobody hears
		clear(c.early)
	}
	c.early[key] = time.Now()
}
