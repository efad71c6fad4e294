package postonce

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOldConnectionsAreNotKept: a busy connection ends after its time, so that a name that
// points elsewhere is looked up again.
func TestOldConnectionsAreNotKept(t *testing.T) {
	eachWay(t, func(t *testing.T, start func(func(*peer)) *caller) {
		var connections atomic.Int64
		c := start(func(p *peer) {
			connections.Add(1)
			for p.Request() {
				p.Say(plain)
			}
		})
		count := func(want int64) {
			t.Helper()
			c.mustCall(t, 1, always)
			if n := connections.Load(); n != want {
				t.Fatalf("%d connections, want %d", n, want)
			}
		}
		count(1)
		count(1)
		if life := time.Until(idle(c).until); life < maxAge-10*time.Second || life > maxAge+ageJitter {
			t.Errorf("a new connection has %v left", life)
		}
		idle(c).until = time.Now()
		count(2)
		count(2)
	})
}

// TestConnectionAgesWhileKept runs on a false clock.
func TestConnectionAgesWhileKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &NewClient(10).pool
		defer p.close()
		client, server := net.Pipe()
		defer server.Close()
		c := &conn{stream: client, pool: p, until: time.Now().Add(time.Second)}
		if !p.put(c) || p.take(c.route) != c {
			t.Error("a young one was not kept")
		}
		time.Sleep(time.Second)
		if p.put(c) {
			t.Error("an old one was kept")
		}
	})
}

// Connections that were made together do not end together.
func TestAgesDiffer(t *testing.T) {
	ends := map[time.Duration]bool{}
	for range 100 {
		ends[time.Until(endOfLife()).Round(time.Second)] = true
	}
	if len(ends) < 5 {
		t.Errorf("they end after %v", ends)
	}
}
