package cache

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// TestConcurrent has workers in several clients begin, finish and release on a few
// accounts of one server, which now and then pauses, while connections are cut and
// contexts end. No account may be granted twice at once, and all answers that tell the
// result of a job must tell the same one.
//
// More: go test ./cache -run TestConcurrent -count 20
func TestConcurrent(t *testing.T) {
	servers.SkipIfShort(t, "it has many workers wait for leases to end")
	const lease = 150 * time.Millisecond
	server := servers.StartRedis(t)
	cutting := newProxy(t, server.Addr)
	namespace := servers.Namespace(t)
	client := func(url string) *Client {
		f := open(t, url, shortLease, func(o *Options) { o.Namespace = namespace })
		f.scripts = newScripts(&f.opts, lease)
		return f.Client
	}
	clients := []*Client{client(server.URL()), client(server.URL()), client("redis://" + cutting.Addr().String())}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		disturb(clients[0], cutting, stop)
	}()
	const accounts, workers, jobs = 6, 5, 10
	var all sync.WaitGroup
	histories := make([]*history, accounts)
	for account := range accounts {
		var job atomic.Int64
		h := &history{account: fmt.Sprint("w", account), lease: lease, results: map[string]map[string]bool{}, states: map[worker.State]int{}}
		histories[account] = h
		for n := range workers {
			all.Go(func() {
				w := &concurrentWorker{history: h, client: clients[n%len(clients)], id: account*workers + n}
				for w.ends = 0; job.Load() < jobs && w.ends < 100; w.ends++ {
					w.work(&job)
				}
			})
		}
	}
	all.Wait()
	close(stop)
	<-stopped
	calls, lost, states := 0, 0, map[worker.State]int{}
	for _, h := range histories {
		h.check(t)
		calls, lost = calls+len(h.calls), lost+h.lost
		for state, n := range h.states {
			states[state] += n
		}
	}
	t.Logf("%d calls, %d lost, answers %v", calls, lost, states)
	for _, state := range []worker.State{worker.Granted, worker.Held, worker.Shared, worker.InDoubt, worker.Done, worker.Cooling} {
		if states[state] == 0 {
			t.Errorf("no answer was %s", state)
		}
	}
	if lost == 0 {
		t.Error("no call was lost")
	}
}

// disturb pauses the server and cuts connections, at random, until stop is closed.
func disturb(c *Client, cutting *proxy, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(rand.N(100 * time.Millisecond)):
		}
		if rand.IntN(4) > 0 {
			c.redis.Do(context.Background(), "client", "pause", 5+rand.IntN(30))
			continue
		}
		cutting.mute.Store(true)
		time.Sleep(rand.N(5 * time.Millisecond))
		cutting.mute.Store(false)
	}
}

// history is what was called on one account, and what came of it.
type history struct {
	account string
	lease   time.Duration

	mu      sync.Mutex
	calls   []historicCall
	results map[string]map[string]bool // by job: the codes of the results that were told
	states  map[worker.State]int       // how many answers of Begin had which
	lost    int                        // calls of which nobody knows what came
}

type historicCall struct {
	token        string
	begun, ended time.Time
	frees        bool      // it takes from its token, or an earlier one of the attempt, what that was granted
	granted      time.Time // by the server's clock, which is the test's too; zero: it was not
}

// record adds a call that has ended just now.
func (h *history) record(c historicCall, err error) {
	c.ended = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	if err != nil {
		h.lost++
	}
}

// tell adds what an answer tells of a job's result.
func (h *history) tell(job string, r job.Result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.results[job] == nil {
		h.results[job] = map[string]bool{}
	}
	h.results[job][r.Code] = true
}

func (h *history) check(t *testing.T) {
	t.Helper()
	for i, a := range h.calls {
		for _, b := range h.calls[:i] {
			if !a.granted.IsZero() && !b.granted.IsZero() && !h.mayPrecede(a, b) && !h.mayPrecede(b, a) {
				t.Errorf("%s was granted to %s at %v, and to %s at %v", h.account, b.token, b.granted, a.token, a.granted)
			}
		}
	}
	for job, codes := range h.results {
		if len(codes) > 1 {
			t.Errorf("%s, job %s: several results: %v", h.account, job, codes)
		}
	}
}

// mayPrecede tells whether the grant of a call may have ended before another's answer came,
// by itself or by a call that was begun before that.
func (h *history) mayPrecede(first, second historicCall) bool {
	if !second.ended.Before(first.granted.Add(h.lease)) {
		return true
	}
	for _, c := range h.calls {
		if c.frees && c != first && c.begun.Before(second.ended) && voids(c.token, first.token) {
			return true
		}
	}
	return false
}

// concurrentWorker does what a pod's task does, and dies now and then.
type concurrentWorker struct {
	*history
	client *Client
	id     int
	ends   int
}

// begin asks, and returns the answer if it comes.
func (w *concurrentWorker) begin(a worker.Ask) (answer worker.Answer, ok bool) {
	c := historicCall{token: a.Token, begun: time.Now(), frees: true}
	ctx, cancel := patience()
	defer cancel()
	answer, err := w.client.Begin(ctx, a)
	if err == nil && answer.State == worker.Granted {
		c.granted = answer.Now
	}
	w.record(c, err)
	if err != nil {
		return answer, false
	}
	w.mu.Lock()
	w.states[answer.State]++
	w.mu.Unlock()
	if answer.State == worker.Done {
		w.tell(a.JobID, *answer.Result)
	}
	return answer, true
}

func (w *concurrentWorker) release(a worker.Ask) {
	c := historicCall{token: a.Token, begun: time.Now(), frees: true}
	ctx, cancel := patience()
	defer cancel()
	_, err := w.client.Release(ctx, a)
	w.record(c, err)
}

func (w *concurrentWorker) finish(end worker.Conclusion) {
	c := historicCall{token: end.Token, begun: time.Now(), frees: !end.Keep}
	ctx, cancel := patience()
	defer cancel()
	finished, err := w.client.Finish(ctx, end)
	ended := err == nil || err == worker.ErrLeaseLost
	if ended && finished.Result.SharedWith == "" { // what a job shares is another's
		w.tell(end.JobID, finished.Result)
	}
	if ended || err == worker.ErrEnded || err == worker.ErrSuperseded {
		err = nil
	}
	w.record(c, err)
}

// patience ends soon at times.
func patience() (context.Context, context.CancelFunc) {
	if rand.IntN(16) == 0 {
		return context.WithTimeout(context.Background(), rand.N(8*time.Millisecond))
	}
	return context.WithTimeout(context.Background(), time.Minute)
}

// work takes one of the account's jobs, once.
func (w *concurrentWorker) work(next *atomic.Int64) {
	n := next.Load() + rand.Int64N(3)
	a := worker.Ask{WcID: w.account, JobID: fmt.Sprint("j", n), Tenant: fmt.Sprint("t", n%3/2), Pod: fmt.Sprint("p", w.id)}
	token := func(number int) string { return fmt.Sprintf("%d-%d#%d", w.id, w.ends, number) }
	for number := 10; number < 13; number++ {
		a.Token = token(number)
		answer, ok := w.begin(a)
		if !ok {
			continue
		}
		end := worker.Conclusion{WcID: a.WcID, JobID: a.JobID, Tenant: a.Tenant, Token: a.Token,
			Result: job.Result{Outcome: job.Succeeded, Code: a.Token}}
		switch answer.State {
		case worker.Granted:
			w.late(a, token(number-1))
			w.granted(a, end)
			return
		case worker.Held, worker.Cooling:
			time.Sleep(rand.N(60 * time.Millisecond))
		case worker.InDoubt:
			end.Token, end.Keep, end.Result.Outcome = answer.Token, true, job.Unknown
			w.finish(end)
			return
		case worker.Shared:
			end.Token, end.Shared, end.Result.SharedWith = "", answer.Token, answer.By
			if rand.IntN(2) == 0 {
				end.SoleUntil = time.UnixMilli(math.MaxInt64 / 4)
			}
			w.finish(end)
			return
		default:
			next.CompareAndSwap(n, n+1)
			return
		}
	}
}

// late makes at times the calls of an earlier ask, as if they had been on their way.
func (w *concurrentWorker) late(a worker.Ask, earlier string) {
	a.Token = earlier
	switch rand.IntN(4) {
	case 0:
		w.begin(a)
	case 1:
		w.release(a)
	}
}

// granted prompts, for longer than the lease at times, or does not.
func (w *concurrentWorker) granted(a worker.Ask, end worker.Conclusion) {
	time.Sleep(rand.N(20 * time.Millisecond))
	switch rand.IntN(8) {
	case 0:
		return // it dies
	case 1, 2:
		w.release(a)
		return
	case 3:
		time.Sleep(w.lease)
		if rand.IntN(2) == 0 {
			w.release(a) // too late: the lock may be another's
			return
		}
	case 4:
		end.Keep, end.Result.Outcome = true, job.Unknown
	case 5, 6:
		end.Cooldown = 40 * time.Millisecond
	}
	w.finish(end)
}
