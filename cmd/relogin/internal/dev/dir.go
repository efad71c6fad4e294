package dev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// dataDir returns the directory of the queue, which is this process's alone until cleanUp is
// called. One that is temporary is removed then. The lock on another goes with the process,
// however that ends; its file stays.
func dataDir(dir string) (path string, cleanUp func(), err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "relogin-dev"); err != nil {
			return "", nil, fmt.Errorf("make data directory: %w", err)
		}
		return dir, func() { _ = os.RemoveAll(dir) }, nil // the system cleans up what is left
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	taken, err := lock.TryLock()
	switch {
	case errors.Is(err, os.ErrPermission):
		return "", nil, fmt.Errorf("the data directory can't be written to: %w", err)
	case err != nil:
		return "", nil, fmt.Errorf("lock data directory: %w", err)
	case !taken:
		return "", nil, fmt.Errorf("another relogin dev uses the data directory %s: stop that one, or name another directory by --data-dir", dir)
	}
	return dir, func() { _ = lock.Unlock() }, nil
}
