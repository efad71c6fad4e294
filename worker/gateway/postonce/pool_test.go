package postonce

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleForTooLong runs on a false clock. A closed end of a pipe fails reads.
func TestIdleForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &NewClient(10).pool
		var ends []net.Conn
		put := func() {
			client, server := net.Pipe()
			ends = append(ends, server)
			if !p.put(&conn{stream: client, pool: p, until: time.Now().Add(time.Hour)}) {
				t.Error("not kept")
			}
		}
		closed := func(n int) {
			t.Helper()
			synctest.Wait()
			for i, end := range ends {
				_ = end.SetReadDeadline(time.Now().Add(time.Nanosecond))
				_, err := end.Read(make([]byte, 1))
				if errors.Is(err, os.ErrDeadlineExceeded) != (i >= n) {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		}
		put()
		time.Sleep(idleTimeout / 2)
		put()
		time.Sleep(idleTimeout/2 - time.Second)
		closed(0)
		time.Sleep(2 * time.Second)
		closed(1)
		time.Sleep(idleTimeout / 2)
		closed(2)
		if len(p.idle) != 0 {
			t.Error("a route stays that has no connection")
		}
		put()
		p.close()
		closed(3)
	})
}

func TestPoolIsBounded(t *testing.T) {
	p := &NewClient(3).pool
	defer p.close()
	for i := range 5 {
		client, server := net.Pipe()
		defer server.Close()
		if c := (&conn{stream: client, pool: p, until: time.Now().Add(time.Hour)}); p.put(c) != (i < 3) {
			t.Errorf("connection %d", i)
		}
	}
}
