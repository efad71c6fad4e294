package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

func TestOneOfManyIsGranted(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		var granted, held atomic.Int32
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				answer, err := f.Begin(t.Context(), f.ask(fmt.Sprint("j", i), fmt.Sprint("t", i)))
				switch {
				case err != nil:
					t.Error(err)
				case answer.State == worker.Granted:
					granted.Add(1)
				case answer.State == worker.Held:
					held.Add(1)
				}
			})
		}
		all.Wait()
		if granted.Load() != 1 || held.Load() != 99 {
			t.Fatalf("%d granted, %d held", granted.Load(), held.Load())
		}
		if s := f.Stats(); s.Commands < 100 || s.Failed != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestScriptsForgotten flushes the server's scripts between calls: they are sent again.
func TestScriptsForgotten(t *testing.T) {
	server := servers.StartRedis(t)
	f := open(t, server.URL())
	before := f.Stats().Commands
	for i := range 5 {
		if err := f.raw.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		j := fmt.Sprint("j", i)
		f.mustBegin(f.ask(j, j), worker.Granted)
		f.mustFinish(f.end(j, j, job.Succeeded), nil)
	}
	if sent := f.Stats().Commands - before; sent < 20 {
		t.Errorf("%d scripts were sent, of 10 that had to be sent again", sent)
	}
}

// TestCallersGiveUp ends contexts at any moment. No caller hangs, and the client works
// afterwards.
func TestCallersGiveUp(t *testing.T) {
	f := open(t, servers.Redis(t))
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%40)*50*time.Microsecond)
			defer cancel()
			a := f.ask("j", fmt.Sprint("t", i))
			a.WcID = fmt.Sprint("w", i)
			if _, err := f.Begin(ctx, a); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f.mustBegin(f.ask("j", "a"), worker.Granted)
}

// TestGivenUpIsNotSent checks that a call whose caller left before it was sent never runs.
func TestGivenUpIsNotSent(t *testing.T) {
	left, stays := &call{}, &call{}
	s := &shard{Client: &Client{}, calls: []*call{left, stays}}
	s.abandon(left, context.Canceled)
	if batch := s.next(); len(batch) != 1 || batch[0] != stays {
		t.Fatalf("gathered %v", batch)
	}
}

// TestBatchBytes gathers calls of many sizes: none is lost, and no batch of several has more
// bytes than it may.
func TestBatchBytes(t *testing.T) {
	const n, mib = 200, 1 << 20
	s := &shard{}
	for i := range n {
		one := &call{}
		one.buf.Grow([]int{100, mib / 3, mib / 2, 3 * mib}[i%4])
		one.buf.Write(make([]byte, one.buf.Cap()))
		s.calls = append(s.calls, one)
	}
	total := 0
	for len(s.calls) > 0 {
		batch := s.takeCalls()
		size := 0
		for _, one := range batch {
			size += one.buf.Len()
		}
		if len(batch) == 0 || len(batch) > 1 && size > batchBytes {
			t.Fatalf("a batch of %d with %d bytes", len(batch), size)
		}
		total += len(batch)
	}
	if total != n {
		t.Errorf("%d of %d calls", total, n)
	}
}

// TestGivenUpBytes has calls given up that a slow server had no time for: they count among the
// bytes of the pipeline that would have carried them, so that it gets fewer at once.
func TestGivenUpBytes(t *testing.T) {
	s := &shard{Client: &Client{}}
	for i := range 8 {
		one := &call{abandoned: i%2 == 0}
		one.buf.Write(make([]byte, batchBytes/4))
		s.calls = append(s.calls, one)
	}
	for range 2 {
		if batch := s.takeCalls(); len(batch) != 2 {
			t.Fatalf("%d calls in a pipeline, where half of a full one was given up", len(batch))
		}
	}
	if len(s.calls) > 0 {
		t.Errorf("%d calls are left", len(s.calls))
	}
}

// TestLargeResults has many jobs end at once with results that one pipeline could not carry
// before the time-out: each try gets some of them on.
func TestLargeResults(t *testing.T) {
	servers.SkipIfShort(t, "it sends much over slow connections")
	t.Parallel()
	const jobs = 128
	proxy := newProxy(t, servers.StartRedis(t).Addr)
	f := open(t, "redis://"+proxy.Addr().String(), func(o *Options) { o.Timeout = time.Second })
	proxy.rate.Store(4 << 20) // a second, on each connection
	large := strings.Repeat("d", 256<<10)
	var all sync.WaitGroup
	var stored atomic.Int32
	for i := range jobs {
		end := f.end("j", "", job.Succeeded)
		end.WcID, end.Result.Login.Data = fmt.Sprint("w", i), large
		all.Go(func() {
			for range 10 {
				if _, err := f.Finish(t.Context(), end); err == nil {
					stored.Add(1)
					return
				}
			}
		})
	}
	all.Wait()
	if n := stored.Load(); n != jobs {
		t.Errorf("%d of %d results were stored", n, jobs)
	}
}

// TestSilentServer checks that calls end, with an error, when Redis stops answering.
func TestSilentServer(t *testing.T) {
	server := servers.StartRedis(t)
	f := open(t, server.URL(), func(o *Options) { o.Timeout = 300 * time.Millisecond })
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	if err := f.raw.Do(t.Context(), "client", "pause", "2000", "all").Err(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	_, err := f.Begin(t.Context(), f.ask("j", "b"))
	if took := time.Since(started); err == nil || took > time.Second {
		t.Fatalf("error %v after %v", err, took)
	}
	servers.Eventually(t, "answers again", func() bool { return f.Ping(t.Context()) == nil })
	f.mustBegin(f.ask("j", "b"), worker.Held)
}

func TestClose(t *testing.T) {
	url := servers.Redis(t)
	f, raw := open(t, url), open(t, url)
	f.mustFinish(f.end("j", "", job.Expired), nil)
	f.Shrink("wxid_1", "j")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := raw.raw.Get(t.Context(), f.Client.keys("wxid_1").job("j")).Val(); got != "1" {
		t.Errorf("the shrinking was not sent: %q", got)
	}
	raw.raw.Del(t.Context(), f.Client.keys("wxid_1").job("j"))
	if _, err := f.Begin(t.Context(), f.ask("j", "a")); !errors.Is(err, ErrClosed) {
		t.Errorf("Begin after Close: %v", err)
	}
	f.tb = discard{t}
}

// discard ignores what the fixture's cleanup finds on a closed client.
type discard struct{ testing.TB }

func (discard) Error(...any) {}

// TestDropsWhenFull checks that Shrink never blocks.
func TestDropsWhenFull(t *testing.T) {
	c := quietClient(&Client{})
	for range queueSize + 1 {
		c.Shrink("w", "1")
	}
	if n := c.stats.dropped.Load(); n != 1 {
		t.Fatalf("%d dropped", n)
	}
}

// TestReplyLost cuts connections between the caller and Redis: what was begun is begun
// again, and nothing is repeated behind the caller's back.
func TestReplyLost(t *testing.T) {
	proxy := newProxy(t, servers.StartRedis(t).Addr)
	f := open(t, "redis://"+proxy.Addr().String(), func(o *Options) { o.DailyPrompts = 10 })
	proxy.mute.Store(true)
	if _, err := f.Begin(t.Context(), f.ask("j", "a")); err == nil {
		t.Fatal("no error")
	}
	proxy.mute.Store(false)
	f.mustBegin(f.ask("j", "a"), worker.Granted)
	if n := f.raw.LLen(t.Context(), f.Client.keys("wxid_1").prompts()).Val(); n != 1 {
		t.Errorf("%d prompts counted", n)
	}
}

// proxy passes bytes on; while mute, a connection is cut when its reply comes.
type proxy struct {
	net.Listener
	mute atomic.Bool
	rate atomic.Int64 // bytes of requests a second, on each connection; 0: no limit
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			running.Go(func() { p.pass(server, client, false) })
			running.Go(func() { p.pass(client, server, true) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return p
}

func (p *proxy) pass(to, from net.Conn, replies bool) {
	defer to.Close()
	defer from.Close()
	for buf := make([]byte, 64<<10); ; {
		n, err := from.Read(buf)
		if err != nil || replies && p.mute.Load() {
			return
		}
		if rate := p.rate.Load(); rate > 0 && !replies {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
