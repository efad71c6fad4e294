package dev

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/relogin/relogin/cmd/relogin/internal/output"
)

// A lock that is taken right after the process was stopped for a while lives as long as
// any other: the pause does not count against it.
func TestDevRedisAfterAPause(t *testing.T) {
	server := miniredis.RunT(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { ageKeys(ctx, server) })
	defer running.Wait()
	defer stop()

	server.Lock()
	time.Sleep(50 * redisTick)
	server.Unlock()
	before := time.Now()
	if err := server.Set("lock", ""); err != nil {
		t.Fatal(err)
	}
	server.SetTTL("lock", time.Hour)
	time.Sleep(5 * redisTick)
	aged := time.Hour - server.TTL("lock")
	if passed := time.Since(before); aged > passed+3*redisTick || aged <= 0 {
		t.Errorf("the lock aged by %v in %v", aged, passed)
	}
}

// run runs dev mode once, with its queue in the directory.
func run(t *testing.T, dir string) error {
	t.Helper()
	return Run(t.Context(), Options{
		Settings: &Settings{Once: true, DataDir: dir}, Simulate: true, Stdout: io.Discard,
		Printer: output.NewPrinter(io.Discard, output.Text, nil), Logger: slog.New(slog.DiscardHandler),
	})
}

// Two queues in one directory would take each other's jobs.
func TestDevTakesItsDirectory(t *testing.T) {
	dir := t.TempDir()
	_, release, err := dataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = run(t, dir)
	if err == nil || !strings.Contains(err.Error(), "another relogin dev uses the data directory "+dir) {
		t.Errorf("it said %v", err)
	}
	release()
	_, release, err = dataDir(dir)
	if err != nil {
		t.Fatalf("after it was released: %v", err)
	}
	release()
}

// What can't be written is named, and at once.
func TestDevCannotWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nats"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	err := run(t, dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "nats")) || time.Since(before) > natsPatience {
		t.Errorf("after %v it said %v", time.Since(before), err)
	}
	if os.Geteuid() == 0 {
		return // may write everywhere
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	err = run(t, dir)
	if err == nil || !strings.Contains(err.Error(), "the data directory can't be written to: open "+dir) {
		t.Errorf("it said %v", err)
	}
}

// Who has Go alone can copy what dev prints: go run's own binary is gone later.
func TestProgramOfGoRun(t *testing.T) {
	if got := program(); got != "go run github.com/relogin/relogin/cmd/relogin" {
		t.Errorf("in another directory of the module it is %s", got)
	}
	t.Chdir("../../../..")
	if got := program(); got != "go run ./cmd/relogin" {
		t.Errorf("in the project's it is %s", got)
	}
	t.Setenv("PATH", "")
	if got := natsProgram(); !strings.HasPrefix(got, "go run github.com/nats-io/natscli/nats@latest") {
		t.Errorf("the nats command line is %s", got)
	}
}
