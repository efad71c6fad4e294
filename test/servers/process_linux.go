package servers

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dieWithParent has the system kill a process when this one dies.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// IsStopped tells whether a SIGSTOP holds the process.
func (p *Process) IsStopped() bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "T")
}
