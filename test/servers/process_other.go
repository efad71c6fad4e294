//go:build !linux

package servers

import "syscall"

// dieWithParent returns nil: these systems don't offer it.
func dieWithParent() *syscall.SysProcAttr { return nil }
