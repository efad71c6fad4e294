package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/relogin/relogin/test/servers"
	"github.com/relogin/relogin/worker"
	"github.com/relogin/relogin/worker/job"
)

// shortLease makes leases end within the test.
func shortLease(o *Options) {
	o.SendWindow, o.ConfirmTimeout, o.MinConfirmTime = time.Millisecond, time.Millisecond, 0
}

// TestBegin has one case for each row of the package's table.
func TestBegin(t *testing.T) {
	cases := map[string]func(f *fixture){
		"free": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
		},
		"mark": func(f *fixture) {
			f.mustFinish(f.end("j", "", job.Expired), nil)
			f.Shrink("wxid_1", "j")
			servers.Eventually(f.tb, "mark", func() bool {
				return f.raw.Get(f.tb.Context(), f.Client.keys("wxid_1").job("j")).Val() == "1"
			})
			f.mustBegin(f.ask("j", "a"), worker.Ended)
			f.mustFinish(f.end("j", "", job.Expired), worker.ErrEnded)
		},
		"done": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			want := f.end("j", "a", job.Succeeded)
			f.mustFinish(want, nil)
			got := f.mustBegin(f.ask("j", "b"), worker.Done)
			if !got.Since.Equal(want.StoredAt) || got.Result.Outcome != job.Succeeded ||
				*got.Result.Login != *want.Result.Login || !got.Result.FinishedAt.Equal(want.Result.FinishedAt) {
				f.tb.Fatalf("got %+v, %+v", got, got.Result)
			}
		},
		"own attempts, and late ones": func(f *fixture) {
			f.mustBegin(f.ask("j", "\x00#a#1"), worker.Granted)
			f.mustBegin(f.ask("j", "\x00#a#2"), worker.Granted)
			if got := f.mustBegin(f.ask("j", "\x00#a#1"), worker.Held); got.Token != "\x00#a#2" || !got.Own {
				f.tb.Fatalf("a late ask got %+v", got)
			}
			f.mustRelease(f.ask("j", "\x00#a#1")) // a late one
			f.mustRelease(f.ask("j", "b#9"))
			f.mustBegin(f.ask("other", "o#1"), worker.Held)
			f.mustRelease(f.ask("j", "\x00#a#10"))
			f.mustBegin(f.ask("other", "o#1"), worker.Granted)
		},
		"own attempt, asked again with the same token": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("j", "a"), worker.Granted)
		},
		"own attempt, not used, its lease over, and the account another's": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.dropLock()
			f.mustBegin(f.ask("other", "o"), worker.Granted)
			if got := f.mustBegin(f.ask("j", "a"), worker.Held); got.Token != "o" || got.Own {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"own lock without a record": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.raw.Del(f.tb.Context(), f.Client.keys("wxid_1").job("j"))
			f.mustBegin(f.ask("j", "a"), worker.Granted)
		},
		"open, earlier delivery": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			got := f.mustBegin(f.ask("j", "b"), worker.Held)
			if !got.Own || got.Token != "a" || got.By != "j" || got.Pod != "pod-a" || got.Wait <= 0 || got.Wait > f.Lease() {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"in doubt": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.dropLock()
			if got := f.mustBegin(f.ask("j", "b"), worker.InDoubt); got.Token != "a" {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("other", "o"), worker.Granted)
			if got := f.mustBegin(f.ask("j", "b"), worker.InDoubt); got.Token != "a" {
				f.tb.Fatalf("got %+v", got)
			}
		},
		"held, then shared": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			got := f.mustBegin(f.ask("other", "o"), worker.Held)
			if got.Own || got.Token != "a" || got.By != "j" || got.Pod != "pod-a" || got.Wait <= 0 {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustFinish(f.end("j", "a", job.Failed), nil)
			got = f.mustBegin(f.ask("other", "o"), worker.Shared)
			if got.By != "j" || got.Result.Outcome != job.Failed {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustBegin(f.ask("new", "n"), worker.Granted) // it did not wait
			f.mustBegin(f.ask("other", "o"), worker.Shared)
		},
		"held by an attempt that was released, shares the next": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("other", "o"), worker.Held)
			f.mustRelease(f.ask("j", "a"))
			f.mustBegin(f.ask("j", "b"), worker.Granted)
			f.mustFinish(f.end("j", "b", job.Succeeded), nil)
			f.mustBegin(f.ask("other", "o"), worker.Shared)
		},
		"held, and the lease ended without a result": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("other", "o"), worker.Held)
			f.dropLock()
			f.mustBegin(f.ask("other", "o"), worker.Granted)
		},
		"held again, by another": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			f.mustBegin(f.ask("other", "o"), worker.Held)
			f.dropLock()
			f.mustBegin(f.ask("third", "x"), worker.Granted)
			if got := f.mustBegin(f.ask("other", "o"), worker.Held); got.By != "third" {
				f.tb.Fatalf("got %+v", got)
			}
			f.mustFinish(f.end("third", "x", job.Succeeded), nil)
			f.mustBegin(f.ask("other", "o"), worker.Shared)
		},
		"another tenant waits for its own turn": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			other := f.ask("other", "o")
			other.Tenant = "u"
			f.mustBegin(other, worker.Held)
			f.mustFinish(f.end("j", "a", job.Succeeded), nil)
			f.mustBegin(other, worker.Granted)
		},
		"kept lock, its result known": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			end := f.end("j", "a", job.Unknown)
			end.Keep = true
			f.mustFinish(end, nil)
			if got := f.mustBegin(f.ask("new", "n"), worker.Shared); got.By != "j" || got.Result.Outcome != job.Unknown {
				f.tb.Fatalf("got %+v", got)
			}
			other := f.ask("other", "o")
			other.Tenant = "u"
			if got := f.mustBegin(other, worker.Held); got.Result != nil {
				f.tb.Fatalf("another tenant's result: %+v", got)
			}
			f.mustBegin(f.ask("j", "b"), worker.Done)
		},
		"too late": func(f *fixture) {
			late := f.ask("j", "a")
			late.Deadline = f.now.Add(10 * time.Second)
			f.mustBegin(late, worker.TooLate)
			f.mustBegin(f.ask("holder", "h"), worker.Granted)
			f.mustBegin(late, worker.Held) // it may still share
			late.Deadline = f.now.Add(-time.Second)
			f.mustBegin(late, worker.TooLate)
			late.Deadline = f.now.Add(time.Hour)
			f.mustRelease(f.ask("holder", "h"))
			f.mustBegin(late, worker.Granted)
		},
		"cooling": func(f *fixture) {
			f.mustBegin(f.ask("j", "a"), worker.Granted)
			end := f.end("j", "a", job.Failed)
			end.Cooldown = time.Minute
			f.mustFinish(end, nil)
			got := f.mustBegin(f.ask("next", "n"), worker.Cooling)
			if left := time.Until(got.RetryAt); left < 50*time.Second || left > 61*time.Second || got.Reason == "" {
				f.tb.Fatalf("got %+v", got)
			}
		},
	}
	everywhere(t, func(t *testing.T, url string) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) { test(open(t, url)) })
		}
	})
}

// dropLock ends the lease of the account's lock now.
func (f *fixture) dropLock() {
	f.tb.Helper()
	if n := f.raw.Del(f.tb.Context(), f.Client.keys("wxid_1").lock()).Val(); n != 1 {
		f.tb.Fatal("no lock")
	}
}

func TestLeaseEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url, shortLease)
		f.mustBegin(f.ask("j", "a"), worker.Granted)
		f.mustBegin(f.ask("other", "o"), worker.Held)
		var got worker.Answer
		servers.Eventually(t, "lease's end", func() bool {
			got, _ = f.Begin(t.Context(), f.ask("other", "o"))
			return got.State != worker.Held
		})
		if got.State != worker.Granted {
			t.Fatalf("got %+v", got)
		}
		if held := time.Since(f.now); held < time.Second {
			t.Fatalf("the lease of %v ended after %v", f.Lease(), held)
		}
		f.mustBegin(f.ask("j", "b"), worker.InDoubt)
	})
}

func TestDailyPrompts(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url, func(o *Options) { o.DailyPrompts = 2 })
		prompts := func() int64 { return f.raw.LLen(t.Context(), f.Client.keys("wxid_1").prompts()).Val() }
		f.mustBegin(f.ask("j1", "a"), worker.Granted)
		f.mustBegin(f.ask("j1", "a"), worker.Granted) // not used: counts once
		f.mustRelease(f.ask("j1", "a"))
		if n := prompts(); n != 0 {
			t.Fatalf("%d prompts counted, though none was used", n)
		}
		for i := range 2 {
			j, token := fmt.Sprint("p", i), fmt.Sprint("t", i)
			f.mustBegin(f.ask(j, token), worker.Granted)
			f.mustFinish(f.end(j, token, job.Succeeded), nil)
		}
		got := f.mustBegin(f.ask("j3", "c"), worker.Cooling)
		if left := time.Until(got.RetryAt); left < 23*time.Hour || left > 24*time.Hour || got.Reason == "" {
			t.Fatalf("got %+v", got)
		}
		if n := prompts(); n != 2 {
			t.Fatalf("%d prompts counted", n)
		}
		// A lower limit later on finds more entries than it needs.
		f.opts.DailyPrompts = 1
		f.scripts = newScripts(&f.opts, f.Lease())
		f.mustBegin(f.ask("j3", "c"), worker.Cooling)
	})
}

func TestOddNames(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		f := open(t, url)
		names := []string{"{}", "a b", "nul\x00", "😀", "}{", ":job:x", "*", "plain", "%s", "\n"}
		for _, wcID := range names {
			for _, j := range append(names, "lock", "last", "waits:1:x") {
				a := f.ask(j, "tok\x00en "+j)
				a.WcID, a.Tenant = wcID, j
				f.mustBegin(a, worker.Granted)
				other := f.ask("other"+j, "o")
				other.WcID, other.Tenant = wcID, j
				if got := f.mustBegin(other, worker.Held); got.By != j || got.Token != a.Token {
					t.Fatalf("got %+v", got)
				}
				end := f.end(j, a.Token, job.Succeeded)
				end.WcID, end.Tenant = wcID, j
				f.mustFinish(end, nil)
				f.mustBegin(other, worker.Shared)
				a.Token = "new"
				f.mustBegin(a, worker.Done)
			}
		}
	})
}
