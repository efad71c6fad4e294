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
func failpoint(step string) {
	if step != fatal.step || passages.Add(1) != fatal.passage {
		return
	}
	if fatal.how == "stop" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // no step more until the signal has come
}

var passages atomic.Int64

var fatal = func() (f struct {
	step    string
	passage int64
	how     string
}) {
	_, _ = fmt.Sscan(os.Getenv("RELOGIN_FAILPOINT"), &f.step, &f.passage, &f.how)
	return f
}()
