//go:build !linux

package postonce

import "syscall"

// setUserTimeout does nothing where there is no such option.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
