package cache

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	diff "github.com/google/go-cmp/cmp"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
)

// TestLinearizable has workers in several clients begin, finish and release on a few
// accounts of one server, which now and then pauses, while connections are cut and
// contexts end, and asks porcupine whether one order of the calls explains all answers.
//
// Time is part of the model. An answer of Begin tells when it was given, by the server's
// clock, which here is the test's too. Any other call was executed at some time between
// its start and its end, and one whose result is not known at some time after its start,
// or never. The model carries these uncertainties along: what may have ended by then both
// has and has not ended, and only what answers prove narrows that down. So it never
// refuses what a right server may answer, but a lock that is granted before its lease
// can have passed is refused.
//
// More: go test ./cache -run TestLinearizable -count 20
func TestLinearizable(t *testing.T) {
	servers.SkipIfShort(t, "it records many calls and searches their order")
	server := servers.StartRedis(t)
	cutting := newProxy(t, server.Addr)
	h := &history{tb: t, start: time.Now(), rules: rules{lease: 150 * time.Millisecond, eventMaxAge: 7 * day}}
	namespace := servers.Namespace(t)
	client := func(url string) *Client {
		f := open(t, url, shortLease, func(o *Options) { o.Namespace = namespace })
		f.lease = h.rules.lease
		f.scripts = newScripts(&f.opts, f.lease)
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
	for account := range accounts {
		var job, hasty atomic.Int64
		for n := range workers {
			all.Go(func() {
				w := &linearWorker{history: h, client: clients[n%len(clients)], id: account*workers + n, wcID: fmt.Sprint("w", account), hasty: &hasty}
				for w.ends = 0; job.Load() < jobs && w.ends < 100; w.ends++ {
					w.work(&job)
				}
			})
		}
	}
	all.Wait()
	close(stop)
	<-stopped
	h.check()
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

// history is what was called, and what came of it.
type history struct {
	tb    testing.TB
	start time.Time
	rules rules

	mu    sync.Mutex
	calls []porcupine.Operation
}

// linearCall is a call; exactly one of ask, end and release is set.
type linearCall struct {
	ask      *worker.Ask
	end      *worker.Conclusion
	release  *worker.Ask
	from, to int64 // when it was begun and had ended, in ms since 1970
}

type linearReply struct {
	lost   bool // nobody knows what came of it
	answer worker.Answer
	ended  worker.Finished
	err    error
	waited bool
}

// record makes the call and adds it to the history.
func (h *history) record(id int, in linearCall, execute func() linearReply) linearReply {
	begun := time.Since(h.start)
	out := execute()
	ended := time.Since(h.start)
	in.from, in.to = h.start.Add(begun).UnixMilli()-2, h.start.Add(ended).UnixMilli()+2
	call, answered := int64(begun), int64(ended)
	if out.lost {
		answered = call // from when on the model has it among the lost ones
	} else if in.ask != nil { // executed within this ms, give or take one
		at := out.answer.Now.Sub(h.start)
		call = max(call, int64(at-time.Millisecond))
		answered = max(call, min(answered, int64(at+2*time.Millisecond)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, porcupine.Operation{ClientId: id, Input: in, Output: out, Call: call, Return: answered})
	return out
}

func (c linearCall) wcID() string {
	switch {
	case c.ask != nil:
		return c.ask.WcID
	case c.end != nil:
		return c.end.WcID
	}
	return c.release.WcID
}

// check asks porcupine for each account.
func (h *history) check() {
	if took := time.Since(h.start); took > time.Minute {
		h.tb.Fatalf("the calls took %v: those who wait are forgotten after a minute", took)
	}
	accounts, lost := make(map[string][]porcupine.Operation), 0
	states := make(map[worker.State]int)
	for _, op := range h.calls {
		in, out := op.Input.(linearCall), op.Output.(linearReply)
		accounts[in.wcID()] = append(accounts[in.wcID()], op)
		if out.lost {
			lost++
		}
		states[out.answer.State]++
	}
	model := (&porcupine.NondeterministicModel{
		Init:              func() []any { return []any{(&linearState{model: newModel(&h.rules)}).keyed()} },
		Step:              func(s, in, out any) []any { return s.(*linearState).step(in.(linearCall), out.(linearReply)) },
		Equal:             func(a, b any) bool { return a.(*linearState).key == b.(*linearState).key },
		DescribeOperation: func(in, out any) string { return describe(in.(linearCall), out.(linearReply)) },
	}).ToModel()
	decided := 0
	for account, calls := range accounts {
		result, info := porcupine.CheckOperationsVerbose(model, calls, 10*time.Second)
		if result == porcupine.Unknown {
			h.tb.Logf("%s: not decided in time", account)
			continue
		}
		decided++
		if result == porcupine.Illegal {
			h.show(account, calls, info)
		}
	}
	if decided == 0 {
		h.tb.Error("nothing was decided in time")
	}
	h.tb.Logf("%d calls, %d lost, answers %v", len(h.calls), lost, states)
	for _, state := range []worker.State{worker.Granted, worker.Held, worker.Shared, worker.InDoubt, worker.Done, worker.Cooling} {
		if states[state] == 0 {
			h.tb.Errorf("no answer was %s", state)
		}
	}
	if lost == 0 {
		h.tb.Error("no call was lost")
	}
}

// show tells the last calls that fit, and those after them.
func (h *history) show(account string, calls []porcupine.Operation, info porcupine.LinearizationInfo) {
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	h.tb.Errorf("%s: only %d of %d calls fit. The last of them:", account, len(longest), len(calls))
	for _, op := range longest[max(len(longest)-12, 0):] {
		h.tb.Log(op.ClientId, time.Duration(op.Call), time.Duration(op.Return), describe(op.Input.(linearCall), op.Output.(linearReply)))
	}
	h.tb.Log("Those that could be next:")
	rest := slices.DeleteFunc(slices.Clone(calls), func(op porcupine.Operation) bool {
		return slices.ContainsFunc(longest, func(fits porcupine.Operation) bool { return reflect.DeepEqual(fits, op) })
	})
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range rest[:min(len(rest), 6)] {
		h.tb.Log(op.ClientId, time.Duration(op.Call), time.Duration(op.Return), describe(op.Input.(linearCall), op.Output.(linearReply)))
	}
}

func describe(in linearCall, out linearReply) string {
	switch {
	case in.ask != nil:
		return fmt.Sprintf("Begin(%s %s %s) = %v %+v", in.ask.JobID, in.ask.Tenant, in.ask.Token, out.lost, out.answer)
	case in.end != nil:
		return fmt.Sprintf("Finish(%s %s keep %v cool %v %s) = %v %s %v", in.end.JobID, in.end.Token, in.end.Keep, in.end.Cooldown,
			in.end.Result.Code, out.lost, out.ended.Result.Code, out.err)
	}
	return fmt.Sprintf("Release(%s) = %v %v", in.release.Token, out.lost, out.waited)
}

// linearState is one of the states that the account may be in after some calls.
type linearState struct {
	model *model
	now   int64        // the last of them was executed then, at the earliest
	lost  []linearCall // begun, and perhaps not executed yet
	key   string       // the same for equal states
}

// keyed sets the key. What makes no difference any more is set to one value: ends that
// no history lives to see, and since when a job waits, except that this is after the last
// confirmation, or not.
func (s *linearState) keyed() *linearState {
	never := exactly(math.MaxInt64 / 2)
	for id, job := range s.model.jobs {
		job.until = never
		if last := s.model.last[job.tenant]; job.since.from > last.at.to {
			job.since = exactly(last.at.to + 1)
		} else if job.since.to <= last.at.from {
			job.since = exactly(0)
		}
		s.model.jobs[id] = job
	}
	if s.model.waiting != (moment{}) {
		s.model.waiting = never
	}
	m, lock := *s.model, modelLock{}
	if m.lock != nil {
		lock = *m.lock
	}
	m.rules, m.lock = nil, nil // of which only the addresses would be printed
	s.key = fmt.Sprint(s.now, m, lock)
	for _, call := range s.lost {
		s.key += fmt.Sprint(" ", call.from, call.ask, call.end, call.release)
	}
	return s
}

// step returns the states that the call may lead to: none when it can't have been
// answered so.
func (s *linearState) step(in linearCall, out linearReply) (next []any) {
	if out.lost {
		return []any{(&linearState{model: s.model, now: s.now, lost: append(slices.Clone(s.lost), in)}).keyed()}
	}
	asked := moment{in.from, in.to}
	if in.ask != nil {
		asked = exactly(out.answer.Now.UnixMilli())
	}
	if asked.from < in.from || asked.to > in.to {
		return nil
	}
	for _, before := range s.late(asked.to) {
		now := moment{max(asked.from, before.now), asked.to}
		if now.from > now.to {
			continue // time doesn't go back
		}
		for _, w := range before.worlds(moment{max(in.from, before.now), asked.to}, in.ask) {
			w.now = max(w.now, now.from)
			if w.does(now, in, out) {
				next = append(next, w.keyed())
			}
		}
	}
	return next
}

// late returns the state, and those after any of the lost calls were executed too, in
// any order, by the time to. One that changes nothing may as well never be executed.
func (s *linearState) late(to int64) []*linearState {
	all, known := []*linearState{s}, map[string]bool{s.key: true}
	for i := 0; i < len(all); i++ {
		for n, call := range all[i].lost {
			now := moment{max(call.from, all[i].now), to}
			if now.from > now.to {
				continue
			}
			for _, w := range all[i].worlds(now, call.ask) {
				before := w.model.clone()
				w.does(now, call, linearReply{lost: true})
				w.lost = slices.Delete(slices.Clone(w.lost), n, n+1)
				if !reflect.DeepEqual(before, w.model) && !known[w.keyed().key] {
					known[w.key] = true
					all = append(all, w)
				}
			}
		}
	}
	return all
}

// worlds are what the state may be right before the call: each thing that may have
// ended by then, has in one half of them.
func (s *linearState) worlds(now moment, a *worker.Ask) (all []*linearState) {
	for choice, bits := 0, 0; choice < 1<<bits; choice++ {
		w := &linearState{model: s.model.clone(), now: now.from, lost: s.lost}
		bits = 0
		w.model.expire(func(until moment) bool {
			if now.from > until.to || now.to < until.from {
				return now.from > until.to
			}
			bits++
			over := choice>>(bits-1)&1 == 1
			if over {
				w.now = max(w.now, until.from)
			}
			return over
		})
		all = append(all, w)
		if a == nil {
			continue
		}
		// Whether the last confirmation ended before the job was told to wait.
		last, job := w.model.last[a.Tenant], w.model.jobs[a.JobID]
		if (job.kind == "waits" || job.kind == "took") && last.at.from < job.since.to && last.at.to >= job.since.from {
			before := &linearState{model: w.model.clone(), now: w.now, lost: s.lost}
			last.at.from, last.at.to = min(last.at.from, job.since.from-1), job.since.from-1
			before.model.last[a.Tenant] = last
			job.since = exactly(0)
			w.model.jobs[a.JobID] = job
			all = append(all, before)
		}
	}
	return all
}

// does makes the call on the model, and tells whether the answer fits.
func (s *linearState) does(now moment, in linearCall, out linearReply) bool {
	switch {
	case in.ask != nil:
		want := s.model.begin(now, *in.ask)
		return out.lost || s.fits(moment{in.from, in.to}, want, out.answer)
	case in.end != nil:
		ended, err := s.model.finish(now, *in.end)
		return out.lost || err == out.err && diff.Equal(ended, out.ended)
	}
	waited := s.model.release(*in.release)
	return out.lost || waited == out.waited
}

// fits compares answers. The server may be kept from running between the readings of its
// clock, but not for longer than the call took: that is how exactly the end of a lease is
// known. A wait that is told narrows it down.
func (s *linearState) fits(took moment, want, got worker.Answer) bool {
	want.Now, want.Wait, want.RetryAt = got.Now, got.Wait, got.RetryAt
	if !diff.Equal(want, got) {
		return false
	}
	switch lock := s.model.lock; got.State {
	case worker.Granted:
		lock.until = took.plus(s.model.rules.lease)
	case worker.Held:
		told := took.plus(got.Wait)
		lock.until = moment{max(lock.until.from, told.from), min(lock.until.to, told.to)}
		return lock.until.from <= lock.until.to
	case worker.Cooling:
		told, cool := took.plus(got.RetryAt.Sub(got.Now)), s.model.cool.until
		return told.to >= cool.from && told.from <= cool.to
	}
	return true
}

// linearWorker does what a pod's task does, and dies now and then.
type linearWorker struct {
	*history
	client *Client
	id     int
	wcID   string
	hasty  *atomic.Int64 // calls of the account whose context ended soon
	ends   int
}

// begin asks and, unless it is cut, returns the answer.
func (w *linearWorker) begin(a worker.Ask) linearReply {
	return w.record(w.id, linearCall{ask: &a}, func() linearReply {
		ctx, cancel := w.patience()
		defer cancel()
		answer, err := w.client.Begin(ctx, a)
		return linearReply{lost: err != nil, answer: answer}
	})
}

func (w *linearWorker) release(a worker.Ask) {
	w.record(w.id, linearCall{release: &a}, func() linearReply {
		ctx, cancel := w.patience()
		defer cancel()
		waited, err := w.client.Release(ctx, a)
		return linearReply{lost: err != nil, waited: waited}
	})
}

func (w *linearWorker) finish(end worker.Conclusion) {
	w.record(w.id, linearCall{end: &end}, func() linearReply {
		ctx, cancel := w.patience()
		defer cancel()
		finished, err := w.client.Finish(ctx, end)
		known := err == nil || err == worker.ErrLeaseLost || err == worker.ErrEnded || err == worker.ErrSuperseded
		return linearReply{lost: !known, ended: finished, err: err}
	})
}

// patience ends soon for some of the account's first calls: to check many such takes long.
func (w *linearWorker) patience() (context.Context, context.CancelFunc) {
	if rand.IntN(16) == 0 && w.hasty.Add(1) <= 6 {
		return context.WithTimeout(context.Background(), rand.N(8*time.Millisecond))
	}
	return context.WithTimeout(context.Background(), time.Minute)
}

// work takes one of the account's jobs, once.
func (w *linearWorker) work(next *atomic.Int64) {
	n := next.Load() + rand.Int64N(3)
	a := worker.Ask{WcID: w.wcID, JobID: fmt.Sprint("j", n), Tenant: fmt.Sprint("t", n%3/2), Pod: fmt.Sprint("p", w.id)}
	token := func(number int) string { return fmt.Sprintf("%d-%d#%d", w.id, w.ends, number) }
	for number := 10; number < 13; number++ {
		a.Token = token(number)
		reply := w.begin(a)
		if reply.lost {
			continue
		}
		end := worker.Conclusion{WcID: a.WcID, JobID: a.JobID, Tenant: a.Tenant, Token: a.Token,
			Result: worker.Result{Outcome: worker.Succeeded, Code: a.Token}}
		switch state := reply.answer.State; state {
		case worker.Granted:
			w.late(a, token(number-1))
			w.granted(a, end)
			return
		case worker.Held, worker.Cooling:
			time.Sleep(rand.N(60 * time.Millisecond))
		case worker.InDoubt:
			end.Token, end.Keep, end.Result.Outcome = reply.answer.Token, true, worker.Unknown
			w.finish(end)
			return
		case worker.Shared:
			end.Token, end.Shared, end.Result.SharedWith = "", reply.answer.Token, reply.answer.By
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
func (w *linearWorker) late(a worker.Ask, earlier string) {
	a.Token = earlier
	switch rand.IntN(4) {
	case 0:
		w.begin(a)
	case 1:
		w.release(a)
	}
}

// granted prompts, for longer than the lease at times, or does not.
func (w *linearWorker) granted(a worker.Ask, end worker.Conclusion) {
	time.Sleep(rand.N(20 * time.Millisecond))
	switch rand.IntN(8) {
	case 0:
		return // it dies
	case 1, 2:
		w.release(a)
		return
	case 3:
		time.Sleep(w.rules.lease)
		if rand.IntN(2) == 0 {
			w.release(a) // too late: the lock may be another's
			return
		}
	case 4:
		end.Keep, end.Result.Outcome = true, worker.Unknown
	case 5, 6:
		end.Cooldown = 40 * time.Millisecond
	}
	w.finish(end)
}
