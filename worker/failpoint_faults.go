//go:build faults

package worker

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// failpoint ends or stops this process at the step and the passage through it that
// RELOGIN_FAILPOINT=<step> <passage> <kill|stop> names.
func failpoint(here string) {
	var step, how string
	var passage int64
	_, _ = fmt.Sscan(os.Getenv("RELOGIN_FAILPOINT"), &step, &passage, &how)
	if here != step || passages.Add(1) != passage {
		return
	}
	if how == "stop" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // no step more until the signal has come
}

var passages atomic.Int64
