package queue

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	maxCoalesced = 1 << 20                // bytes that wait to be written; a Write beyond that blocks
	closeWait    = 200 * time.Millisecond // for what waits to be written when a connection is closed
)

// coalescingDialer is a [nats.CustomDialer] of connections that coalesce what is written.
type coalescingDialer struct{ net.Dialer }

func (d *coalescingDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	g := &coalescingConn{Conn: conn, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	g.room.L = &g.mu
	go g.run()
	return g, nil
}

// coalescingConn is a connection with a goroutine that writes. nats.go writes as soon as
// somebody publishes, which under load made for every second job a system call here and
// one at the server; this one lets those run first who are about to publish, and else writes
// at once. What waits is lost with the connection, as is what waits in the kernel.
type coalescingConn struct {
	net.Conn
	wake  chan struct{} // holds one: something waits to be written
	ended chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	room    sync.Cond // less waits, or err was set
	waiting []byte
	err     error // why nothing is taken any more
}

// Write takes p. It blocks while too much waits; an error is that of an earlier write.
func (g *coalescingConn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil && len(g.waiting) >= maxCoalesced {
		g.room.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	g.waiting = append(g.waiting, p...)
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// run writes until a write fails or the connection is closed.
func (g *coalescingConn) run() {
	defer close(g.ended)
	var batch []byte
	for range g.wake {
		runtime.Gosched()
		g.mu.Lock()
		batch, g.waiting = g.waiting, batch[:0]
		g.room.Broadcast()
		g.mu.Unlock()
		if _, err := g.Conn.Write(batch); err != nil {
			g.refuse(err)
			_ = g.Conn.Close() // the reader finds out, and reconnects
			return
		}
	}
}

// refuse takes nothing any more. It returns false when that was so already.
func (g *coalescingConn) refuse(why error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return false
	}
	g.err = why
	g.room.Broadcast()
	return true
}

// Close writes what waits, unless that takes too long, and closes the connection.
func (g *coalescingConn) Close() error {
	if g.refuse(net.ErrClosed) {
		close(g.wake)
	}
	late := time.AfterFunc(closeWait, func() { _ = g.Conn.Close() })
	<-g.ended
	late.Stop()
	return g.Conn.Close()
}
