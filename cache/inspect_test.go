package cache

import (
	"errors"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

func (f *fixture) inspector() *Inspector {
	f.tb.Helper()
	i, err := OpenInspector(Options{URL: f.opts.URL, Namespace: f.opts.Namespace, Logger: f.opts.Logger})
	if err != nil {
		f.tb.Fatal(err)
	}
	f.tb.Cleanup(func() { _ = i.Close() })
	return i
}

func (f *fixture) account(prompts int) *AccountState {
	f.tb.Helper()
	s, err := f.inspector().Account(f.tb.Context(), "wxid_1", prompts)
	if err != nil {
		f.tb.Fatal(err)
	}
	return s
}

func (f *fixture) record(id string) *Record {
	f.tb.Helper()
	r, err := f.inspector().Job(f.tb.Context(), "wxid_1", id)
	if err != nil {
		f.tb.Fatal(err)
	}
	return r
}

func TestInspectAccount(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url, func(o *Options) { o.DailyPrompts = 3 })
		if s := f.account(3); s.Lock != nil || s.Cooling != nil || s.Waited || len(s.Prompts) > 0 || time.Since(s.Now).Abs() > time.Minute {
			t.Errorf("of an account that nobody knows: %+v", s)
		}
		f.mustBegin(f.ask("j:1", "t#1"), worker.Granted)
		f.mustBegin(f.ask("k", "u#1"), worker.Held)
		s := f.account(3)
		if s.Lock == nil || s.Lock.JobID != "j:1" || s.Lock.Pod != "pod-a" || !s.Waited || len(s.Prompts) != 1 || !s.Prompts[0].Equal(s.Lock.Prompted) {
			t.Errorf("of one that is held: %+v, lock %+v", s, s.Lock)
		}
		if left := s.Lock.Until.Sub(s.Now); left < f.Lease()-time.Minute/2 || left > f.Lease() {
			t.Errorf("the lease goes on for %v of %v", left, f.Lease())
		}
		end := f.end("j:1", "t#1", job.Failed)
		end.Cooldown = time.Hour
		f.mustFinish(end, nil)
		s = f.account(1)
		if s.Lock != nil || s.Cooling == nil || s.Cooling.Reason == "" || s.Cooling.Until.Sub(s.Now) < 59*time.Minute {
			t.Errorf("of one that cools down: %+v", s)
		}
	})
}

func TestInspectJob(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		wants := func(id string, want RecordState) {
			t.Helper()
			if r := f.record(id); r.State != want {
				t.Errorf("%s is %s, want %s", id, r.State, want)
			}
		}
		wants("j", RecordNone)
		f.mustBegin(f.ask("j", "t#1"), worker.Granted)
		wants("j", RecordOpen)
		f.mustBegin(f.ask("k", "u#1"), worker.Held)
		wants("k", RecordWaits)
		end := f.end("j", "t#1", job.Succeeded)
		end.Result.Login = &job.Login{WcID: "a", WID: "w", Token: "secret", Data: "secret"}
		f.mustFinish(end, nil)
		wants("j", RecordDone)
		if r := f.record("j"); r.Result.Outcome != job.Succeeded || r.Result.Login.WID != "w" || r.Result.Login.Token+r.Result.Login.Data != "" {
			t.Errorf("result: %+v", r.Result)
		}
		f.Shrink("wxid_1", "j")
		f.mustTidy()
		wants("j", RecordTombstone)
	})
}

// Cancel ends what has not prompted, and nothing else; the pipeline goes by it.
func TestCancel(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		i := f.inspector()
		cancel := func(id string, want error) job.Result {
			t.Helper()
			r, err := i.Cancel(t.Context(), "wxid_1", id, f.now, job.Result{Outcome: job.Cancelled, Message: "by " + id, FinishedAt: f.now})
			if !errors.Is(err, want) {
				t.Errorf("cancel %s: %v, want %v", id, err, want)
			}
			return r
		}
		first := cancel("queued", nil)
		if again := cancel("queued", nil); again.Message != first.Message || !again.FinishedAt.Equal(first.FinishedAt) {
			t.Errorf("cancelled again: %+v, want %+v", again, first)
		}
		if a := f.mustBegin(f.ask("queued", "q#1"), worker.Done); a.Result.Outcome != job.Cancelled {
			t.Errorf("begun after it: %+v", a.Result)
		}
		f.mustBegin(f.ask("open", "t#1"), worker.Granted)
		cancel("open", worker.ErrAsked)
		f.mustBegin(f.ask("waits", "u#1"), worker.Held)
		cancel("waits", nil)
		if r := f.mustFinish(f.end("waits", "", job.Expired), nil); r.Outcome != job.Cancelled {
			t.Errorf("it ended as %s after it was cancelled", r.Outcome)
		}
		f.mustBegin(f.ask("took", "v#1"), worker.Held)
		f.mustFinish(f.end("open", "t#1", job.Succeeded), nil)
		cancel("open", worker.ErrEnded)
		answer := f.mustBegin(f.ask("took", "v#2"), worker.Shared)
		taken := f.end("took", "", job.Succeeded)
		taken.Shared, taken.Result.SharedWith = answer.Token, answer.By
		f.mustFinish(taken, nil)
		cancel("took", worker.ErrEnded)
		f.Shrink("wxid_1", "open")
		f.mustTidy()
		cancel("open", worker.ErrEnded)
		// A grant that was let go of is none.
		f.mustBegin(f.ask("released", "w#1"), worker.Granted)
		f.mustRelease(f.ask("released", "w#1"))
		cancel("released", nil)
	})
}

// A Redis that was wiped does not remember, until a worker has asked it. An emulator can't tell.
func TestRemembers(t *testing.T) {
	f := open(t, servers.RealRedis(t), func(o *Options) { o.Incarnations = &ledger{} })
	want := func(want bool, when string) {
		t.Helper()
		if got, err := f.inspector().Remembers(t.Context()); err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", when, got, err, want)
		}
	}
	if _, err := f.Begin(t.Context(), f.ask("j", "t#1")); err != nil {
		t.Fatal(err)
	}
	want(true, "after an ask")
	if err := f.raw.Del(t.Context(), f.markKey()).Err(); err != nil {
		t.Fatal(err)
	}
	want(false, "wiped")
	if got, err := open(t, servers.EmbeddedRedis(t)).inspector().Remembers(t.Context()); err != nil || !got {
		t.Errorf("an emulator: %t, %v", got, err)
	}
}

func TestParseLock(t *testing.T) {
	for _, text := range []string{"", "x", "1:a", "1:a1:b", "9:a", "-1:a", "1:a1:b99:c"} {
		if l, err := parseLock(text); err == nil {
			t.Errorf("%q is read as %+v", text, l)
		}
	}
}
