package queue

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// connected returns both ends of a TCP connection; the first coalesces.
func connected(t *testing.T) (*coalescingConn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := new(coalescingDialer).Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); peer.Close() })
	return conn.(*coalescingConn), peer
}

// All that was written before Close arrives, in order, also more than may wait.
func TestGatheringWritesAllInOrder(t *testing.T) {
	g, peer := connected(t)
	var want bytes.Buffer
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	var got []byte
	var read error
	var reading sync.WaitGroup
	reading.Go(func() { got, read = io.ReadAll(peer) })
	for i := range 4 * maxCoalesced / len(chunk) {
		chunk[0] = byte(i)
		want.Write(chunk)
		if n, err := g.Write(chunk); n != len(chunk) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if err := g.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	reading.Wait()
	if read != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes arrived, %d were written; %v", len(got), want.Len(), read)
	}
	if _, err := g.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close returns %v", err)
	}
}

// Close does not wait for a peer that reads nothing, and ends a Write that does.
func TestGatheringClosesBesideABlockedPeer(t *testing.T) {
	g, _ := connected(t)
	blocked := make(chan error)
	go func() {
		for {
			if _, err := g.Write(make([]byte, maxCoalesced)); err != nil {
				blocked <- err
				return
			}
		}
	}()
	var closing sync.WaitGroup
	for range 2 {
		closing.Go(func() { _ = g.Close() })
	}
	if err := <-blocked; err == nil {
		t.Error("a write beside Close returns no error")
	}
	closing.Wait()
	<-g.ended
}

// A write that failed is told to the next one, and closes the connection.
func TestGatheringTellsAFailedWrite(t *testing.T) {
	g, peer := connected(t)
	_ = peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	for {
		if _, err := g.Write([]byte("x")); err != nil {
			break
		}
	}
	<-g.ended
	if _, err := g.Conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is open: %v", err)
	}
}
