//go:build linux

package faults

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/relogin/relogin/test/servers"
)

// steps are the fail-points of package worker, in the order in which a job passes them.
var steps = []string{
	"taken", "asking", "asked", "calling", "sending", "answered", "concluded", "stored", "publishing", "published", "acked",
	"released", "handedBack", "buried",
}

// rare are those that only some jobs pass.
var rare = map[string]bool{"released": true, "handedBack": true, "buried": true}

// starts holds how each worker's next start differs from a plain one.
type starts struct {
	mu   sync.Mutex
	next map[int][]string
}

func (s *starts) set(worker int, env string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next[worker] = append(s.next[worker], env)
}

func (s *starts) take(worker int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	env := s.next[worker]
	delete(s.next, worker)
	return env
}

func workerFaults() []fault {
	all := []fault{
		once("worker: kill -9", func(w *world) { w.workers[w.some(workers)].Signal(syscall.SIGKILL) }),
		once("all workers: kill -9", func(w *world) {
			for _, p := range w.workers {
				p.Signal(syscall.SIGKILL)
			}
		}),
		stopped("worker: SIGSTOP for less than the lease", moment, lease-2*second, 1),
		stopped("worker: SIGSTOP for more than the lease", lease+second/2, lease+3*second, 1),
		stopped("all workers: SIGSTOP for less than the lease", moment, 3*second, workers),
		stopped("all workers: SIGSTOP for more than the lease", lease+second/2, lease+2*second, workers),
		once("workers: rolling restart", func(w *world) {
			for _, p := range w.workers {
				running := p.Done()
				p.Signal(syscall.SIGTERM)
				select {
				case <-running:
				case <-time.After(15 * second):
					p.Signal(syscall.SIGKILL) // it may be in the hands of another fault
				}
			}
		}),
		clock("worker: clock an hour ahead", "3600"),
		clock("worker: clock an hour behind", "-3600"),
	}
	for _, step := range steps {
		all = append(all, killedAt(step))
		if step != "sending" { // a pause there is what cannot be closed from this side
			all = append(all, stoppedAt(step))
		}
	}
	return all
}

func stopped(name string, least, most time.Duration, count int) fault {
	return during(name, least, most, func(w *world) func() {
		first := w.some(workers)
		each := func(s syscall.Signal) {
			for i := range count {
				w.workers[(first+i)%workers].Signal(s)
			}
		}
		each(syscall.SIGSTOP)
		return func() { each(syscall.SIGCONT) }
	})
}

func clock(name, seconds string) fault {
	return during(name, 2*second, 10*second, func(w *world) func() {
		i := w.some(workers)
		w.starts.set(i, "RELOGIN_CLOCK_OFF="+seconds)
		w.workers[i].Signal(syscall.SIGKILL)
		return func() { w.workers[i].Signal(syscall.SIGKILL) }
	})
}

// armed restarts a worker with a fail-point, and lets it come to pass.
func armed(w *world, step, how string) *servers.Process {
	i, passage := w.some(workers), 1
	if !rare[step] {
		passage += w.some(30)
	}
	p := w.workers[i]
	w.starts.set(i, fmt.Sprintf("RELOGIN_FAILPOINT=%s %d %s", step, passage, how))
	before := p.Done()
	p.Signal(syscall.SIGKILL)
	<-before
	servers.Poll(5*second, func() bool { return p.Done() != before && p.Logged("worker ready") })
	switch step {
	case "handedBack":
		time.Sleep(2 * second)
		p.Signal(syscall.SIGTERM)
	case "released":
		for _, gateway := range w.proxies.between(i, "gateway") {
			gateway.cut()
			time.AfterFunc(2*second, func() { _ = gateway.restore() })
		}
	}
	return p
}

func killedAt(step string) fault {
	return fault{name: "worker: kill -9 at " + step, inflict: func(w *world) (func(), bool) {
		p := armed(w, step, "kill")
		select {
		case <-p.Done():
			return nil, p.EndedBy(syscall.SIGKILL)
		case <-time.After(10 * second):
			p.Signal(syscall.SIGKILL)
			return nil, false
		}
	}}
}

func stoppedAt(step string) fault {
	return fault{"worker: SIGSTOP at " + step, [2]time.Duration{moment, lease + 2*second}, func(w *world) (func(), bool) {
		p := armed(w, step, "stop")
		happened := servers.Poll(10*second, p.IsStopped)
		return func() { p.Signal(syscall.SIGCONT); p.Signal(syscall.SIGKILL) }, happened
	}}
}
