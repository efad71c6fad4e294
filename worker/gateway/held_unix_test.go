//go:build unix

package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker/job"
)

// holder is a server that accepts and says nothing until it is told to. It has one
// goroutine and no buffers, so that what a test counts is the client's.
type holder struct {
	url      string
	accepted chan int
	answered []int
}

// close is called when all calls are over.
func (h *holder) close() {
	for _, c := range h.answered {
		syscall.Close(c)
	}
}

func newHolder(t testing.TB, n int) *holder {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || int(min(files.Cur, 1<<30)) < 2*n+100 {
		t.Skipf("%d open files are too few for %d calls: %v", files.Cur, n, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd := int(f.Fd())
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	h := &holder{url: "http://" + l.Addr().String(), accepted: make(chan int, n)}
	go func() {
		defer f.Close()
		defer close(h.accepted)
		for range n {
			c, _, err := syscall.Accept(fd)
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			h.accepted <- c
		}
	}()
	return h
}

// answer replies to all calls; it is called when all of them wait.
func (h *holder) answer(reply string) {
	raw := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(reply), reply)
	for c := range h.accepted {
		_, _ = syscall.Write(c, []byte(raw))
		h.answered = append(h.answered, c)
	}
}

// hold has n calls open, and returns what waits for them to end.
func hold(t testing.TB, c *Client, n int) (wait func()) {
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() {
			if err := oneCall(c, testJob("a"+strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	servers.Eventually(t, fmt.Sprintf("%d calls that wait", n), func() bool { waiting, _ := goroutines(); return waiting == n })
	return calls.Wait
}

// oneCall has a small stack, as its callers should have.
//
//go:noinline
func oneCall(c *Client, j *job.Job) error {
	_, err := c.SecondLogin(context.Background(), j, always)
	return err
}

var profiled = regexp.MustCompile(`(?m)^(\d+) @ `)

// goroutines returns how many wait for a reply, and how many there are.
func goroutines() (waiting, all int) {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	for group := range strings.SplitSeq(profile.String(), "\n\n") {
		count := profiled.FindStringSubmatch(group)
		if count == nil {
			continue
		}
		n, _ := strconv.Atoi(count[1])
		all += n
		if strings.Contains(group, "postonce.(*conn).wait") {
			waiting += n
		}
	}
	return waiting, all
}

func TestManyOpenCalls(t *testing.T) {
	const n = 2000
	h := newHolder(t, n)
	c := newClient(t, Options{URL: h.url, MaxConns: n})
	_, before := goroutines()
	wait := hold(t, c, n)
	if _, now := goroutines(); now > before+n+10 {
		t.Errorf("%d open calls have %d goroutines", n, now-before)
	}
	h.answer(`{"code":1001}`)
	wait()
	h.close()
	if _, now := goroutines(); now > before+10 {
		t.Errorf("%d goroutines are left of %d calls", now-before, n)
	}
}

// BenchmarkOpenCall tells what an open call holds, its goroutine included.
func BenchmarkOpenCall(b *testing.B) {
	const n = 5000
	for b.Loop() {
		h := newHolder(b, n)
		c, err := New(Options{URL: h.url})
		if err != nil {
			b.Fatal(err)
		}
		heap, stack := inUse()
		wait := hold(b, c, n)
		heapNow, stackNow := inUse()
		b.ReportMetric(float64(heapNow-heap)/n, "heap-B/call")
		b.ReportMetric(float64(stackNow-stack)/n, "stack-B/call")
		h.answer(`{"code":1001}`)
		wait()
		h.close()
		c.Close()
	}
}

func inUse() (heap, stack int64) {
	runtime.GC() // a stack shrinks by half at each
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}
