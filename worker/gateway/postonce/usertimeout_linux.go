package postonce

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setUserTimeout is a [net.Dialer]'s Control. A system that has no such option does
// without: the call's context ends it in the end.
func setUserTimeout(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}
