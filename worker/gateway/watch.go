package gateway

import (
	"context"
	"os"
	"slices"
	"time"
)

const (
	pollEvery   = time.Second            // how often it is looked whether a file was changed
	rereadEvery = 30 * time.Second       // how often the files are read all the same: a change can leave size and time as they were
	settleTime  = 100 * time.Millisecond // after a change: a writer may not be done
)

// Run reads the credential and tenants files again when they change, and blocks until ctx ends.
// A new version with a mistake is logged, and the client goes on
// with the old one. Where there are no files it just waits.
func (c *Client) Run(ctx context.Context) {
	if len(c.settings.Load().files) == 0 {
		<-ctx.Done()
		return
	}
	f := &follower{Client: c, seen: map[string]os.FileInfo{}}
	f.follow(ctx)
}

// follower reads the files again when they change. It looks at them instead of having the
// system report changes: that misses some on network file systems, and where a directory
// behind a link is replaced, as Kubernetes does.
type follower struct {
	*Client
	seen    map[string]os.FileInfo // nil for a file that can't be looked at
	problem string                 // the last one that was logged
}

func (f *follower) follow(ctx context.Context) {
	poll, reread := time.NewTicker(pollEvery), time.NewTicker(rereadEvery)
	defer poll.Stop()
	defer reread.Stop()
	f.changed()
	f.reread(ctx) // they may have changed since they were read
	for {
		select {
		case <-ctx.Done():
			return
		case <-reread.C:
		case <-poll.C:
			if !f.changed() {
				continue
			}
			time.Sleep(settleTime)
		}
		f.reread(ctx)
	}
}

// changed tells whether a file is another one than at the last look, or was written to.
func (f *follower) changed() (changed bool) {
	for _, file := range f.settings.Load().files {
		now, _ := os.Stat(file) // nil: reading it will tell why
		before, known := f.seen[file]
		f.seen[file] = now
		if !known || (now == nil) != (before == nil) ||
			now != nil && (!os.SameFile(now, before) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
			changed = true
		}
	}
	return changed
}

// reread reads the files, and takes over what they say if all of it is right. A mistake is
// logged once, not at each reading.
func (f *follower) reread(ctx context.Context) {
	next, err := readSettings(f.options)
	if err != nil {
		if f.problem != err.Error() {
			f.problem = err.Error()
			f.log.ErrorContext(ctx, "the changed gateway settings are not used, the previous ones stay: correct the file", "error", err)
		}
		return
	}
	f.problem = ""
	if changed := next.inherit(f.settings.Load()); len(changed) > 0 {
		f.log.InfoContext(ctx, "gateway settings changed", "tenants", changed)
	}
	f.settings.Store(next)
}

// inherit keeps old's tenants where their address and credential are the same, with
// what was learned of them. It returns the names of those added, changed or removed.
func (s *settings) inherit(old *settings) (changed []string) {
	for name, t := range s.tenants {
		if before := old.tenants[name]; before != nil && before.fingerprint == t.fingerprint {
			s.tenants[name] = before
		} else {
			changed = append(changed, name)
		}
	}
	for name := range old.tenants {
		if s.tenants[name] == nil {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}
