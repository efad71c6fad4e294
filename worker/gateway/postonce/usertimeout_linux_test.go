package postonce

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDeadPeersAreNoticed sees that a peer which acknowledges nothing is given up, and
// that one which says nothing is probed as Go does it.
func TestDeadPeersAreNoticed(t *testing.T) {
	eachWay(t, func(t *testing.T, start func(func(*peer)) *caller) {
		c := start(answer)
		c.mustCall(t, 1, always)
		checkSocket(t, idle(c).socket.Conn)
	})
}

func checkSocket(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]int{}
	if err := raw.Control(func(fd uintptr) {
		for _, option := range []int{unix.TCP_USER_TIMEOUT, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
			got[option], _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option)
		}
	}); err != nil {
		t.Fatal(err)
	}
	probed := time.Duration(got[unix.TCP_KEEPIDLE]+got[unix.TCP_KEEPINTVL]*got[unix.TCP_KEEPCNT]) * time.Second
	if timeout := time.Duration(got[unix.TCP_USER_TIMEOUT]) * time.Millisecond; timeout != userTimeout || timeout != probed {
		t.Errorf("the time-out is %v, and probing takes %v, want %v", timeout, probed, userTimeout)
	}
}
