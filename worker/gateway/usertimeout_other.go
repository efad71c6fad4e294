//go:build !linux

package gateway

import "syscall"

// setUserTimeout does nothing where there is no such option.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
