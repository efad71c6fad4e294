package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
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
