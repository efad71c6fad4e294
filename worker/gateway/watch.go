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

// Run reads the credential and tenants files again when they change, and blocks until ctx
// ends. A new version with a mistake is logged, and the client goes on with the old one.
//
// It looks at the files instead of having the system report changes: that misses some on
// network file systems, and where a directory behind a link is replaced, as Kubernetes does.
func (c *Client) Run(ctx context.Context) {
	poll, reread := time.NewTicker(pollEvery), time.NewTicker(rereadEvery)
	defer poll.Stop()
	defer reread.Stop()
	seen := map[string]os.FileInfo{}
	c.changed(seen)
	problem := c.reread(ctx, "") // they may have changed since they were read
	for {
		select {
		case <-ctx.Done():
			return
		case <-reread.C:
		case <-poll.C:
			if !c.changed(seen) {
				continue
			}
			time.Sleep(settleTime)
		}
		problem = c.reread(ctx, problem)
	}
}

// changed tells whether a file is another one than was seen at the last look, or was
// written to. What can't be looked at is nil in seen: reading it will tell why.
func (c *Client) changed(seen map[string]os.FileInfo) (changed bool) {
	for _, file := range c.settings.Load().files {
		now, _ := os.Stat(file)
		before := seen[file]
		seen[file] = now
		if (now == nil) != (before == nil) ||
			now != nil && (!os.SameFile(now, before) || now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
			changed = true
		}
	}
	return changed
}

// reread reads the files, and takes over what they say if all of it is right. A problem
// is returned, and logged unless it is the one before: once, not at each reading.
func (c *Client) reread(ctx context.Context, before string) (problem string) {
	next, err := readSettings(c.options)
	if err != nil {
		if problem = err.Error(); problem != before {
			c.log.ErrorContext(ctx, "the changed gateway settings are not used, the previous ones stay: correct the file", "error", err)
		}
		return problem
	}
	if changed := next.inherit(c.settings.Load()); len(changed) > 0 {
		c.log.InfoContext(ctx, "gateway settings changed", "tenants", changed)
	}
	c.settings.Store(next)
	return ""
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
