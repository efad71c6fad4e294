//go:build unix

package postonce

import (
	"errors"
	"net"
	"syscall"
)

// canReuse says that silent knows.
const canReuse = true

// silent tells whether c is open and has nothing to read. It does not block.
func silent(c net.Conn, buffer []byte) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	var found error
	err = raw.Read(func(fd uintptr) bool {
		_, found = syscall.Read(int(fd), buffer)
		return true
	})
	return err == nil && errors.Is(found, syscall.EAGAIN)
}
