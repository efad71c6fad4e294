package gateway

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	rereadEvery = 30 * time.Second       // whatever the file system reports
	settleTime  = 100 * time.Millisecond // after a change: a writer may not be done
)

// Run reads the credential and tenants files again when they change, until ctx ends;
// it returns nil then. A new version with a mistake is logged, and the client goes on
// with the old one. Where there are no files it just waits.
func (c *Client) Run(ctx context.Context) error {
	if len(c.settings.Load().files) == 0 {
		<-ctx.Done()
		return nil
	}
	f := &follower{Client: c, problems: map[string]string{}}
	if watcher, err := fsnotify.NewWatcher(); err != nil {
		f.complain(ctx, unwatchedText, err)
	} else {
		defer watcher.Close()
		f.watch, f.events, f.errors = watcher.Add, watcher.Events, watcher.Errors
	}
	f.follow(ctx)
	return nil
}

const (
	unwatchedText = "changes of gateway settings are seen up to half a minute late: their directory can't be watched"
	unusedText    = "the changed gateway settings are not used, the previous ones stay: correct the file"
)

// follower reads the files again when told to.
type follower struct {
	*Client
	watch  func(directory string) error // asking twice for one is harmless; nil: can't watch
	events <-chan fsnotify.Event
	errors <-chan error

	problems map[string]string // the last error that was logged with each text
}

func (f *follower) follow(ctx context.Context) {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	f.watchFiles(ctx)
	settled := time.After(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-settled:
			f.reread(ctx)
		case <-tick.C:
			f.reread(ctx)
		case e := <-f.events:
			if f.concerns(e.Name) {
				settled = time.After(settleTime)
			}
		case <-f.errors: // events were lost
			settled = time.After(settleTime)
		}
	}
}

// concerns tells whether a change of that path may be a change of one of the files.
// Kubernetes swaps the link "..data", through which the files are reached.
func (f *follower) concerns(path string) bool {
	base := filepath.Base(path)
	return base == "..data" || slices.ContainsFunc(f.settings.Load().files, func(file string) bool {
		return filepath.Base(file) == base
	})
}

// reread reads the files, and takes over what they say if all of it is right.
func (f *follower) reread(ctx context.Context) {
	next, err := readSettings(f.options)
	f.complain(ctx, unusedText, err)
	var changed []string
	if err == nil {
		if changed = next.inherit(f.settings.Load()); len(changed) > 0 {
			f.log.InfoContext(ctx, "gateway settings changed", "tenants", changed)
		}
		f.settings.Store(next)
	}
	f.watchFiles(ctx)
	if len(changed) > 0 { // a new file may have changed before it was watched
		f.reread(ctx)
	}
}

// watchFiles watches the directories of the files, not the files themselves: those are
// replaced by others of their name. A directory that was replaced is watched anew.
func (f *follower) watchFiles(ctx context.Context) {
	if f.watch == nil {
		return
	}
	var unwatched error
	for _, file := range f.settings.Load().files {
		if err := f.watch(filepath.Dir(file)); err != nil {
			unwatched = err
		}
	}
	f.complain(ctx, unwatchedText, unwatched)
}

// complain logs a problem once, not at each reading; nil says that it is over.
func (f *follower) complain(ctx context.Context, text string, err error) {
	if err == nil {
		delete(f.problems, text)
	} else if f.problems[text] != err.Error() {
		f.problems[text] = err.Error()
		f.log.ErrorContext(ctx, text, "error", err)
	}
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
